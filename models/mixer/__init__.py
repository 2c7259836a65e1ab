"""Stage 2: a small network that mixes the features of the best candidates in the light of the context.

`network` is the reference in torch and the way to a GPU, `kernel` the same by hand for a CPU; both take
minibatches from `replay`, the bounded memory of what was learned.
"""
