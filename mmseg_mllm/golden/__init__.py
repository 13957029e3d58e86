"""Comparison with numbers that the authors' code produced (tools/analysis_tools/verify_golden.py)."""
