"""What counts as the mask of an expression that was rejected by mistake (GRES)."""

REJECTIONS = ("paper", "strict")
"""'paper': what was drawn; 'strict': none."""
