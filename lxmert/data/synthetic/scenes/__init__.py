"""Synthetic scenes: images of a few shapes from a seed, with captions, questions and statements about them.

easy-VQA is too easy to distinguish good training from bad. Here questions are about one of several shapes, their
relations and their numbers, and the text of a question does not give the answer away.
"""
