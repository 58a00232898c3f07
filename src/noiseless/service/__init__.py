"""The HTTP service and its web page: `create_app` makes it, `noiseless serve` runs it.

It calls only the public verbs. `options` is what a client may ask for, `uploads` reads a request within the limits,
`engine` computes for all, `guard` stands in front.
"""
