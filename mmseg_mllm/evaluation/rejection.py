"""What a verdict that there is no target does to the figures."""

LISA = "lisa"
REJECTIONS = ("paper", "strict", LISA)
"""GRES by the mask of a wrongly rejected target: 'paper' takes what was drawn, 'strict' none. 'lisa':
nothing, masks alone are scored, as LISA does on ReasonSeg."""
