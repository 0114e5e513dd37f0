"""What happened: objects, journals and the index over them. Speaks the past tense only; `docs/store-format.md`."""
