"""Pretraining a small MLLM on toy scenes: questions and answers in text, and what helps it to look."""
