//! The prover of the main sumcheck ([`proofmesh_proof::claims`]).

use p3_field::{Algebra, PackedValue, PrimeCharacteristicRing};
use proofmesh_proof::claims::{self, MainProof};
use proofmesh_proof::field::{F, K, eq_table};
use proofmesh_proof::logup;
use proofmesh_proof::plan::Plan;
use proofmesh_proof::sumcheck::power_of_half;
use proofmesh_proof::system::{SumClaim, System};
use proofmesh_proof::transcript::Channel;
use rayon::prelude::*;

use crate::lanes::{Lanes, PackedF, PackedK, SingleK, WIDTH};
use crate::materialise;
use crate::rounds::{add, evaluate, interpolate, multiply, send};

/// Most registers that one task works through.
const STRETCH: usize = 1 << 8;

/// Tables of the factors and of the equality factor, one register `V` or `E` after the other; without equality factor its table is empty.
struct Tables<V, E> {
    factors: Vec<Vec<V>>,
    eq: Vec<E>,
}

/// A product of factors: its coefficient and their indices.
type Product = (F, Vec<usize>);

impl<V, E> Tables<V, E>
where
    V: PrimeCharacteristicRing + Copy + Send + Sync,
    E: Lanes + Algebra<V>,
{
    fn len(&self) -> usize {
        self.factors[0].len()
    }

    /// Values of the round polynomial of the most significant variable at the given points; `lift` makes a register of a coefficient.
    fn round(&self, products: &[Product], points: &[usize], lift: impl Fn(F) -> V) -> Vec<K> {
        let half = self.len() / 2;
        let coefficients: Vec<V> = products.iter().map(|(coef, _)| lift(*coef)).collect();
        let stretch = |first: usize| {
            let mut sums = vec![E::ZERO; points.len()];
            let (mut at, mut slope) = (vec![V::ZERO; self.factors.len()], vec![V::ZERO; self.factors.len()]);
            for i in first..half.min(first + STRETCH) {
                for (f, table) in self.factors.iter().enumerate() {
                    at[f] = table[i];
                    slope[f] = table[i + half] - table[i];
                }
                let eq = self.eq.get(i).map(|low| (*low, self.eq[i + half] - *low));
                let (mut reached, mut weight) = (0, eq.map(|e| e.0));
                for (sum, point) in sums.iter_mut().zip(points) {
                    for _ in reached..*point {
                        at.iter_mut().zip(&slope).for_each(|(a, s)| *a += *s);
                        weight = weight.zip(eq).map(|(w, e)| w + e.1);
                    }
                    reached = *point;
                    let mut value = V::ZERO;
                    for ((coef, factors), coefficient) in products.iter().zip(&coefficients) {
                        let product = factors[1..].iter().fold(at[factors[0]], |acc, f| acc * at[*f]);
                        if *coef == F::ONE {
                            value += product;
                        } else {
                            value += *coefficient * product;
                        }
                    }
                    match weight {
                        Some(weight) => *sum += weight * value,
                        None => *sum += value,
                    }
                }
            }
            sums
        };
        let join = |x: Vec<E>, y: Vec<E>| x.into_iter().zip(y).map(|(x, y)| x + y).collect();
        let stretches = (0..half.div_ceil(STRETCH)).into_par_iter().map(|s| stretch(s * STRETCH));
        let sums: Vec<E> = stretches.reduce(|| vec![E::ZERO; points.len()], join);
        sums.into_iter().map(Lanes::total).collect()
    }

    /// Binds the most significant variable.
    fn bind(&self, r: K) -> Tables<E, E> {
        let half = self.len() / 2;
        let r = E::from(r);
        let halves = |table: &Vec<V>| {
            let (low, high) = table.split_at(half);
            let pairs = low.par_iter().zip(high).with_min_len(STRETCH);
            pairs.map(|(l, h)| r * (*h - *l) + *l).collect()
        };
        let factors = self.factors.par_iter().map(halves).collect();
        let (low, high) = self.eq.split_at(self.eq.len() / 2);
        let eq = low.par_iter().zip(high).with_min_len(STRETCH).map(|(l, h)| r * (*h - *l) + *l).collect();
        Tables { factors, eq }
    }
}

/// The state of a claim, by what a table's entry is.
enum State {
    /// Base field values, until the first variable is bound.
    Base(Tables<PackedF, PackedK>),
    /// Registers.
    Packed(Tables<PackedK, PackedK>),
    /// At most two registers' worth of elements.
    Single(Tables<SingleK, SingleK>),
}

impl State {
    /// Single elements when the tables have become that short.
    fn packed(tables: Tables<PackedK, PackedK>) -> Self {
        if tables.len() > 2 {
            return Self::Packed(tables);
        }
        let single = |t: &Vec<PackedK>| SingleK::pack(&PackedK::unpack(t));
        Self::Single(Tables { factors: tables.factors.iter().map(single).collect(), eq: single(&tables.eq) })
    }

    fn round(&self, products: &[Product], points: &[usize]) -> Vec<K> {
        match self {
            Self::Base(tables) => tables.round(products, points, PackedF::from),
            Self::Packed(tables) => tables.round(products, points, |coef| K::from(coef).into()),
            Self::Single(tables) => tables.round(products, points, |coef| K::from(coef).into()),
        }
    }

    fn bind(&mut self, r: K) {
        *self = match self {
            Self::Base(tables) => Self::packed(tables.bind(r)),
            Self::Packed(tables) => Self::packed(tables.bind(r)),
            Self::Single(tables) => Self::Single(tables.bind(r)),
        }
    }

    /// The two values of each factor, and of the equality factor if there is one, before the last variable is bound.
    fn last(&self) -> Vec<[K; 2]> {
        let Self::Single(tables) = self else {
            unreachable!("two elements are fewer than two registers hold")
        };
        let two = |table: &Vec<SingleK>| SingleK::unpack(table).try_into().expect("one variable is left");
        tables.factors.iter().chain((!tables.eq.is_empty()).then_some(&tables.eq)).map(two).collect()
    }
}

/// One claim under way.
struct Running<'a> {
    claim: &'a SumClaim,
    weight: K,
    state: State,
    /// What the rest of the rounds sums to, once a round has told.
    rest: Option<K>,
    /// Mask of each factor that reads committed columns.
    rho: Vec<Option<K>>,
}

impl<'a> Running<'a> {
    fn new(claim: &'a SumClaim, columns: &[&[F]], tau: &[K], weight: K) -> Self {
        let eq: Vec<K> = claim.eq.as_ref().map_or(Vec::new(), |(challenges, vars)| {
            let small = eq_table(&tau[challenges.clone()], K::ONE);
            let shift = claim.vars - vars.end;
            (0..1usize << claim.vars).map(|x| small[x >> shift & (small.len() - 1)]).collect()
        });
        let axes = |f: &'a proofmesh_proof::system::Expr| f.terms.iter().flat_map(|t| &t.axes);
        let base = claim.factors.iter().flat_map(axes).all(|axis| axis.tau().is_empty());
        let long = 1usize << claim.vars > 2 * WIDTH;
        let state = if base && long {
            let table = |f| -> Vec<PackedF> {
                PackedF::pack_slice(&materialise::table::<F>(f, claim.vars, columns, &[])).to_vec()
            };
            let factors = claim.factors.par_iter().map(table).collect();
            State::Base(Tables { factors, eq: PackedK::pack(&eq) })
        } else {
            let table = |f| materialise::table::<K>(f, claim.vars, columns, tau);
            let tables: Vec<Vec<K>> = claim.factors.par_iter().map(table).collect();
            if long {
                let factors = tables.par_iter().map(|t| PackedK::pack(t)).collect();
                State::Packed(Tables { factors, eq: PackedK::pack(&eq) })
            } else {
                let factors = tables.iter().map(|t| SingleK::pack(t)).collect();
                State::Single(Tables { factors, eq: SingleK::pack(&eq) })
            }
        };
        Self { claim, weight, state, rest: None, rho: vec![None; claim.factors.len()] }
    }

    /// The round polynomial of variable `v`; in the last round masked factors are quadratic.
    fn round(&self, v: usize) -> Vec<K> {
        if v + 1 == self.claim.vars {
            return self.last_round();
        }
        let degree = self.claim.degree(v, false);
        let Some(rest) = self.rest else {
            let points: Vec<usize> = (0..=degree).collect();
            return interpolate(&self.state.round(&self.claim.products, &points));
        };
        // The values at 0 and 1 sum to what is known.
        let points: Vec<usize> = (0..=degree).filter(|p| *p != 1).collect();
        let mut values = self.state.round(&self.claim.products, &points);
        values.insert(1, rest - values[0]);
        interpolate(&values)
    }

    fn last_round(&self) -> Vec<K> {
        let values = self.state.last();
        let curve = |f: usize| -> Vec<K> {
            let [low, high] = values[f];
            match self.rho[f] {
                Some(rho) => vec![low, high - low + rho, -rho],
                None => vec![low, high - low],
            }
        };
        let sum = self.claim.products.iter().fold(Vec::new(), |sum, (coef, factors)| {
            let product = factors[1..].iter().fold(curve(factors[0]), |acc, f| multiply(&acc, &curve(*f)));
            add(&sum, &product.iter().map(|c| *c * *coef).collect::<Vec<_>>())
        });
        match values.get(self.claim.factors.len()) {
            Some([low, high]) => multiply(&sum, &[*low, *high - *low]),
            None => sum,
        }
    }

    /// Binds a variable whose round polynomial was the given one.
    fn bind(&mut self, polynomial: &[K], r: K) {
        self.rest = Some(evaluate(polynomial, r));
        self.state.bind(r);
    }
}

/// Proves all sums.
pub fn prove<'a>(
    system: &'a System,
    plan: &Plan,
    columns: &[&[F]],
    pads: &[K],
    leaf: &[K],
    transcript: &mut dyn Channel<E = K>,
) -> MainProof {
    let tau = transcript.draw_point(system.tau_len);
    let lambda = transcript.draw();
    let n = plan.main_vars();
    let blocks = logup::block_weights(system, plan, leaf);
    let weights = claims::weights(system, lambda, &blocks);
    let start = |(claim, weight): (&'a SumClaim, K)| {
        let weight = weight * power_of_half(n - claim.vars);
        Running::new(claim, columns, claims::point(system, claim, &tau, leaf), weight)
    };
    let mut running: Vec<Running<'_>> = system.sums.par_iter().zip(weights).map(start).collect();
    for ((claim, factor), pad) in plan.main_values.iter().zip(&plan.main.values) {
        running[*claim].rho[*factor] = Some(pads[*pad]);
    }
    let mut rounds = Vec::with_capacity(n);
    let mut values = Vec::new();
    for round in 0..n {
        let active = |c: &Running<'_>| round + c.claim.vars >= n;
        let variable = |c: &Running<'_>| round + c.claim.vars - n;
        let polynomials: Vec<Vec<K>> =
            running.par_iter().map(|c| if active(c) { c.round(variable(c)) } else { Vec::new() }).collect();
        let polynomial = running.iter().zip(&polynomials).fold(Vec::new(), |sum, (claim, own)| {
            add(&sum, &own.iter().map(|c| *c * claim.weight).collect::<Vec<_>>())
        });
        let (sent, r) = send(&polynomial, plan.main.rounds[round].clone(), pads, transcript);
        rounds.push(sent);
        if round + 1 == n {
            let zz = r * (K::ONE - r);
            let last: Vec<Vec<[K; 2]>> = running.iter().map(|c| c.state.last()).collect();
            for (claim, factor) in &plan.main_values {
                let [low, high] = last[*claim][*factor];
                let rho = running[*claim].rho[*factor].expect("hidden factors are masked");
                values.push(low + r * (high - low) + zz * rho);
            }
            break;
        }
        let bound = running.par_iter_mut().zip(&polynomials).filter(|(c, _)| active(c));
        bound.for_each(|(claim, own)| claim.bind(own, r));
    }
    transcript.absorb(&values);
    MainProof { rounds, values }
}
