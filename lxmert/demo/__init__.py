"""The demo: both backends of both models answer the questions of easy-VQA, and a page shows the results."""
