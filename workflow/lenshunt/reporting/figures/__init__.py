"""One module per figure; each has functions `draw_*(..., out)` that write PDF and PNG."""
