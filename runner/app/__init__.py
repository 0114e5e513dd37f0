"""The composition root: the only room where pieces are chosen and joined."""
