"""HTTP: messages, the codecs of its versions, one exchange. Knows not what is expected of it."""
