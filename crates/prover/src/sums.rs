//! The prover of the main sumcheck ([`proofmesh_proof::claims`]).

use p3_field::PrimeCharacteristicRing;
use proofmesh_proof::claims::{self, MainProof};
use proofmesh_proof::field::{F, K, eq_table};
use proofmesh_proof::logup;
use proofmesh_proof::plan::Plan;
use proofmesh_proof::sumcheck::power_of_half;
use proofmesh_proof::system::{SumClaim, System};
use proofmesh_proof::transcript::Transcript;
use rayon::prelude::*;

use crate::materialise;
use crate::rounds::{add, evaluate, multiply, send};

/// One claim's tables; a claim's equality factor is one more factor of every product.
struct Running {
    vars: usize,
    weight: K,
    tables: Vec<Vec<K>>,
    /// Coefficient and factors of each product.
    products: Vec<(F, Vec<usize>)>,
    /// Mask of each factor that reads committed columns.
    rho: Vec<Option<K>>,
}

impl Running {
    fn new(claim: &SumClaim, columns: &[Vec<F>], tau: &[K], weight: K) -> Self {
        let mut tables: Vec<Vec<K>> =
            claim.factors.iter().map(|f| materialise::table(f, claim.vars, columns, tau)).collect();
        let mut products = claim.products.clone();
        if let Some((challenges, vars)) = &claim.eq {
            let small = eq_table(&tau[challenges.clone()], K::ONE);
            let shift = claim.vars - vars.end;
            tables.push((0..1usize << claim.vars).map(|x| small[x >> shift & (small.len() - 1)]).collect());
            products.iter_mut().for_each(|(_, fs)| fs.push(tables.len() - 1));
        }
        let rho = vec![None; tables.len()];
        Self { vars: claim.vars, weight, tables, products, rho }
    }

    /// The round polynomial of the most significant variable; in the last round masked factors are quadratic.
    fn round(&self) -> Vec<K> {
        let half = self.tables[0].len() / 2;
        let curve = |f: usize, i: usize| -> Vec<K> {
            let (low, high) = (self.tables[f][i], self.tables[f][i + half]);
            match self.rho[f] {
                Some(rho) if half == 1 => vec![low, high - low + rho, -rho],
                _ => vec![low, high - low],
            }
        };
        let one = |i: usize| {
            self.products.iter().fold(Vec::new(), |sum, (coef, factors)| {
                let product =
                    factors[1..].iter().fold(curve(factors[0], i), |acc, f| multiply(&acc, &curve(*f, i)));
                add(&sum, &product.iter().map(|c| *c * *coef).collect::<Vec<_>>())
            })
        };
        (0..half).into_par_iter().with_min_len(1 << 7).map(one).reduce(Vec::new, |a, b| add(&a, &b))
    }

    fn bind(&mut self, r: K) {
        for table in &mut self.tables {
            let half = table.len() / 2;
            let (low, high) = table.split_at_mut(half);
            low.iter_mut().zip(high.iter()).for_each(|(l, h)| *l += r * (*h - *l));
            table.truncate(half);
        }
    }
}

/// Proves all sums.
pub fn prove(
    system: &System,
    plan: &Plan,
    columns: &[Vec<F>],
    pads: &[K],
    leaf: &[K],
    transcript: &mut Transcript,
) -> MainProof {
    let tau = transcript.draw_point(system.tau_len);
    let lambda = transcript.draw();
    let n = plan.main_vars();
    let blocks = logup::block_weights(system, plan, leaf);
    let weights = claims::weights(system, lambda, &blocks);
    let start = |(claim, weight): (&SumClaim, K)| {
        let weight = weight * power_of_half(n - claim.vars);
        Running::new(claim, columns, claims::point(system, claim, &tau, leaf), weight)
    };
    let mut running: Vec<Running> = system.sums.par_iter().zip(weights).map(start).collect();
    for ((claim, factor), pad) in plan.main_values.iter().zip(&plan.main.values) {
        running[*claim].rho[*factor] = Some(pads[*pad]);
    }
    let mut rounds = Vec::with_capacity(n);
    let mut values = Vec::new();
    for round in 0..n {
        let active = running.iter().filter(|c| round + c.vars >= n);
        let polynomial = active.fold(Vec::new(), |sum, claim| {
            add(&sum, &claim.round().iter().map(|c| *c * claim.weight).collect::<Vec<_>>())
        });
        let (sent, r) = send(&polynomial, plan.main.rounds[round].clone(), pads, transcript);
        rounds.push(sent);
        if round + 1 == n {
            let zz = r * (K::ONE - r);
            for (claim, factor) in &plan.main_values {
                let claim = &running[*claim];
                let table = &claim.tables[*factor];
                let plain = evaluate(&[table[0], table[1] - table[0]], r);
                values.push(plain + zz * claim.rho[*factor].expect("hidden factors are masked"));
            }
        }
        running.iter_mut().filter(|c| round + c.vars >= n).for_each(|c| c.bind(r));
    }
    transcript.absorb(&values);
    MainProof { rounds, values }
}
