"""From a photograph to a decision: filter, describe, classify and compare images.

The rooms, from the ground: `imgtool.image`, `imgtool.filters`, `imgtool.batch`, `imgtool.datasets`,
`imgtool.features`, `imgtool.networks`, `imgtool.classifiers`, `imgtool.evaluation`, `imgtool.cli`.
Each imports only from those before it. Importing `imgtool` itself imports nothing else.
"""

__version__ = "0.1.0"
