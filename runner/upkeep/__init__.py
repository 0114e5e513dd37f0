"""The care of a store: what is kept, what may go, whether it is whole, how much it takes."""
