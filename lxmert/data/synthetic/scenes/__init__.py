"""Drawn scenes: images of a few shapes from a seed, with captions, questions and statements about them.

easy-VQA is solved too easily to tell good training from bad. Here a question is about one of several shapes, how they
lie, how many there are and of what there are more, and the question alone does not give the answer away.
"""
