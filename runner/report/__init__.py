"""A run as one page of HTML that stands alone: no script, no font, nothing fetched. Shown the store, never opens it."""
