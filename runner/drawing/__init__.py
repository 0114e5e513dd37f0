"""Pictures of a pipeline's graph: as text, Mermaid, DOT, SVG and JSON. Pure."""
