"""The error function, which NumPy lacks: the text of the helper that a generated module defines where it needs it."""

ERF = '''\
ERF_TOP = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
ERF_BOTTOM = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


def erf(x, out):
    """The error function: for float32 within 5e-7, relatively; else to float64's precision."""
    single = x.dtype == np.float32
    size = 512 if single else 128
    flags = ["buffered", "external_loop", "zerosize_ok"]
    access = [["readonly"], ["writeonly"]]
    scratch = np.empty((3, size if single else 0), np.float32)
    with np.nditer([x, out], flags, access, buffersize=size) as blocks:
        for block, result in blocks:
            if single:
                erf_single(block, result, *scratch[:, : block.size])
            else:
                result[...] = list(map(math.erf, block.tolist()))
    return out


def erf_single(x, out, bound, square, value):
    """x*P(x**2)/Q(x**2) on -4..4, and 1 or -1 beyond; the last three arguments are scratch."""
    np.minimum(x, 4, out=bound)
    np.maximum(bound, -4, out=bound)
    np.multiply(bound, bound, out=square)
    polynomial(ERF_TOP, square, value)
    np.multiply(bound, value, out=bound)
    polynomial(ERF_BOTTOM, square, value)
    np.divide(bound, value, out=bound)
    np.minimum(bound, 1, out=bound)
    np.maximum(bound, -1, out=out)


def polynomial(coefficients, x, out):
    """The polynomial with these coefficients, the highest first, by Horner's rule."""
    np.multiply(x, coefficients[0], out=out)
    for coefficient in coefficients[1:-1]:
        np.add(out, coefficient, out=out)
        np.multiply(out, x, out=out)
    np.add(out, coefficients[-1], out=out)
'''
"""P/Q is the rational minimax approximation that Eigen and XLA use. Plain NumPy calls on arrays that stay in the
cache take a tenth of the time of `math.erf` number by number, which is what float64 is left with."""
