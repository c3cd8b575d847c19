"""The demo: both backends of both models answer questions, and a page shows why they answered so."""
