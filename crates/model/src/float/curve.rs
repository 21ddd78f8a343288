//! Unary functions that become tables. Definitions: the ONNX operator specifications.

/// A unary function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Curve {
    Abs,
    /// `alpha (exp(x / alpha) - 1)` below zero.
    Celu(f32),
    /// `alpha (exp(x) - 1)` below zero.
    Elu(f32),
    Erf,
    Exp,
    /// `x (1 + erf(x / sqrt 2)) / 2`.
    Gelu,
    /// Its approximation by a hyperbolic tangent.
    GeluTanh,
    /// `clamp(alpha x + beta, 0, 1)`.
    HardSigmoid(f32, f32),
    /// `x clamp(x / 6 + 1/2, 0, 1)`.
    HardSwish,
    /// `x` for `x >= 0`, else `alpha x`.
    LeakyRelu(f32),
    Log,
    /// `x tanh(softplus(x))`.
    Mish,
    /// `x^p`.
    Pow(f32),
    Reciprocal,
    /// `1 / sqrt(x + epsilon)`, 0 where that is not positive.
    ReciprocalRoot(f32),
    /// `gamma alpha (exp(x) - 1)` below zero, `gamma x` above.
    Selu(f32, f32),
    Sigmoid,
    Sign,
    Softplus,
    Softsign,
    Sqrt,
    Square,
    Tanh,
    /// 1 where `x = 0`, else 0.
    IsZero,
    /// `x` above the threshold, else 0.
    ThresholdedRelu(f32),
    Floor,
    Ceil,
    /// To the nearest whole number, halves to the even one.
    Round,
    Sin,
    Cos,
}

impl Curve {
    /// The function's value.
    pub fn apply(self, x: f32) -> f32 {
        let below = |y: f32| if x < 0.0 { y } else { x };
        let softplus = |x: f32| if x > 20.0 { x } else { x.exp().ln_1p() };
        match self {
            Self::Abs => x.abs(),
            Self::Celu(alpha) => below(alpha * (x / alpha).exp_m1()),
            Self::Elu(alpha) => below(alpha * x.exp_m1()),
            Self::Erf => erf(x),
            Self::Exp => x.exp(),
            Self::Gelu => 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)),
            Self::GeluTanh => {
                let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Self::HardSigmoid(alpha, beta) => (alpha * x + beta).clamp(0.0, 1.0),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::LeakyRelu(alpha) => below(alpha * x),
            Self::Log => x.ln(),
            Self::Mish => x * softplus(x).tanh(),
            Self::Pow(p) => x.powf(p),
            Self::Reciprocal => 1.0 / x,
            Self::ReciprocalRoot(epsilon) => {
                if x + epsilon > 0.0 {
                    1.0 / (x + epsilon).sqrt()
                } else {
                    0.0
                }
            }
            Self::Selu(alpha, gamma) => gamma * below(alpha * x.exp_m1()),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Sign => {
                if x == 0.0 {
                    0.0
                } else {
                    x.signum()
                }
            }
            Self::Softplus => softplus(x),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Sqrt => x.sqrt(),
            Self::Square => x * x,
            Self::Tanh => x.tanh(),
            Self::IsZero => f32::from(u8::from(x == 0.0)),
            Self::ThresholdedRelu(alpha) => {
                if x > alpha {
                    x
                } else {
                    0.0
                }
            }
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
            Self::Round => x.round_ties_even(),
            Self::Sin => x.sin(),
            Self::Cos => x.cos(),
        }
    }
}

/// The error function, to 1e-7: its Taylor series where that converges fast, else the continued fraction of its complement
/// (Abramowitz and Stegun 7.1.6 and 7.1.14).
fn erf(x: f32) -> f32 {
    let (z, sign) = (f64::from(x.abs()), f64::from(x.signum()));
    if z > 4.0 {
        return sign as f32;
    }
    let scale = (-z * z).exp() / std::f64::consts::PI.sqrt();
    let value = if z < 2.5 {
        let (mut term, mut sum) = (z, z);
        for n in 1..60 {
            term *= 2.0 * z * z / f64::from(2 * n + 1);
            sum += term;
        }
        2.0 * scale * sum
    } else {
        let fraction = (1..=40).rev().fold(0.0, |rest, n| f64::from(n) / 2.0 / (z + rest));
        1.0 - scale / (z + fraction)
    };
    (sign * value) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_have_their_known_values() {
        let near =
            |got: f32, expected: f32| assert!((got - expected).abs() < 2e-6, "{got} is not {expected}");
        near(erf(0.5), 0.520_499_9);
        near(erf(-1.0), -0.842_700_8);
        near(erf(2.4), 0.999_311_5);
        near(erf(2.6), 0.999_764);
        near(Curve::Gelu.apply(1.0), 0.841_344_7);
        near(Curve::GeluTanh.apply(1.0), 0.841_192);
        near(Curve::Elu(2.0).apply(-1.0), 2.0 * ((-1f32).exp() - 1.0));
        near(Curve::Selu(1.673_263_2, 1.050_701).apply(-1.0), -1.111_330_7);
        near(Curve::HardSwish.apply(1.0), 2.0 / 3.0);
        near(Curve::Mish.apply(1.0), 0.865_098_4);
        near(Curve::Round.apply(2.5), 2.0);
        near(Curve::Softplus.apply(50.0), 50.0);
    }
}
