"""The functions that compiled kernels call: the text that a generated module defines for them."""

HELPERS = '''\
try:
    import numba
    from numba.extending import intrinsic, overload
except ImportError:
    raise ImportError("this module's kernels need numba: pip install numba") from None


def kernel(function):
    """Compiled at its first call; the machine code is kept beside a module that is a file."""
    return numba.njit(function, nogil=True, cache=IS_FILE, **RULES)


IS_FILE = "__file__" in globals() and Path(__file__).is_file()
RULES = {
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "arcp", "afn", "nsz"},
}
WITHIN = {"jit_options": RULES | {"forceinline": True}}


@intrinsic
def choose(typing, condition, a, b):
    """a where the condition holds, else b: both are at hand, so that nothing branches."""

    def write(context, builder, signature, arguments):
        return builder.select(*arguments)

    return a(numba.boolean, a, a), write


@kernel
def max_(a, b):
    """The larger one; NaN where either is."""
    return b if a < b or np.isnan(b) else a


@kernel
def min_(a, b):
    """The smaller one; NaN where either is."""
    return b if a > b or np.isnan(b) else a


@kernel
def multiply(left, right, out):
    """out = left @ right, where rows lie whole: two rows and four terms at a time."""
    rows, terms = left.shape
    columns = range(out.shape[1])
    for i in range(0, rows - 1, 2):
        for j in columns:
            out[i, j] = out[i + 1, j] = 0
        for k in range(0, terms - 3, 4):
            a, b, c, d = left[i, k], left[i, k + 1], left[i, k + 2], left[i, k + 3]
            e, f = left[i + 1, k], left[i + 1, k + 1]
            g, h = left[i + 1, k + 2], left[i + 1, k + 3]
            for j in columns:
                p, q = right[k, j], right[k + 1, j]
                r, s = right[k + 2, j], right[k + 3, j]
                out[i, j] += a * p + b * q + c * r + d * s
                out[i + 1, j] += e * p + f * q + g * r + h * s
        for k in range(terms - terms % 4, terms):
            for j in columns:
                out[i, j] += left[i, k] * right[k, j]
                out[i + 1, j] += left[i + 1, k] * right[k, j]
    for i in range(rows - rows % 2, rows):
        for j in columns:
            out[i, j] = 0
        for k in range(terms):
            for j in columns:
                out[i, j] += left[i, k] * right[k, j]


def exp_(x):
    """exp(x), in float32 by a polynomial that processors compute for many x at once."""


def tanh_(x):
    """tanh(x), in float32 by a quotient of polynomials."""


@overload(exp_, **WITHIN)
def exp_of(x):
    return exp_single if x == numba.float32 else lambda x: math.exp(x)


@overload(tanh_, **WITHIN)
def tanh_of(x):
    return tanh_single if x == numba.float32 else lambda x: math.tanh(x)


def exp_single(x):
    """2**n * P(r) where x = n*log(2) + r; 0 where float32 has no normal number."""
    single = np.float32
    bounded = min(max(x, single(-87.336)), single(88.722))
    n = np.floor(bounded * single(1.44269504) + single(0.5))
    r = bounded - n * single(0.693359375) + n * single(2.12194440e-4)
    p = single(1.9875691500e-4)
    p = p * r + single(1.3981999507e-3)
    p = p * r + single(8.3334519073e-3)
    p = p * r + single(4.1665795894e-2)
    p = p * r + single(1.6666665459e-1)
    p = p * r + single(5.0000001201e-1)
    p = p * r * r + r + single(1)
    half = np.int32(n) >> np.int32(1)  # 2**n itself may be no normal number
    power = np.int32((half + np.int32(127)) << np.int32(23)).view(single)
    rest = np.int32((np.int32(n) - half + np.int32(127)) << np.int32(23)).view(single)
    value = p * power * rest
    value = single(0) if x < single(-87.336) else value
    value = single(np.inf) if x > single(88.7228) else value
    return x if np.isnan(x) else value


def tanh_single(x):
    """x*P(x**2)/Q(x**2) on -7.9..7.9; 1 or -1 where float32 has no nearer number."""
    single = np.float32
    b = min(max(x, single(-7.90531110763549805)), single(7.90531110763549805))
    s = b * b
    p = single(-2.76076847742355e-16)
    p = p * s + single(2.00018790482477e-13)
    p = p * s + single(-8.60467152213735e-11)
    p = p * s + single(5.12229709037114e-08)
    p = p * s + single(1.48572235717979e-05)
    p = p * s + single(6.37261928875436e-04)
    p = p * s + single(4.89352455891786e-03)
    q = single(1.19825839466702e-06)
    q = q * s + single(1.18534705686654e-04)
    q = q * s + single(2.26843463243900e-03)
    q = q * s + single(4.89352518554385e-03)
    value = b * p / q
    value = math.copysign(single(1), x) if abs(x) > single(8.3) else value
    return x if np.isnan(x) else value
'''
"""What the kernels call, beside `math` and `Path`, which every module has.

The coefficients are the published ones of Cephes (exp) and Eigen (tanh).
"""
