"""A little UVRB whose whole truth is known: sixteen analogues made from the sample world, in the public layout.

Each isolates what its dataset isolates (arXiv 2510.27571, appendix A.2): the videos near a right answer agree with
it in everything but that.
"""
