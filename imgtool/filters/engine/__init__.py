"""How convolutions and magnitudes are computed: the plan, its methods, borders, rounding."""
