//! The opening of the commitment of `proofmesh_proof::hired`, on wires: one interleaved code, opened by a combination of its columns.
//!
//! What a prover names is bound by: the combination `v` and the random coefficients of R, by the transcript before eta, the work and the positions are
//! drawn; rows and salts, by their paths to the cap, which the transcript held before every challenge; a row's digits, by their ranges, as
//! a lane is injective in digits of 31 bits.

use p3_field::PrimeCharacteristicRing;
use proofmesh_graph::statement::{Images, Statement};
use proofmesh_proof::engine::{self, Proof};
use proofmesh_proof::field::{F, K, eq_table, extension_at};
use proofmesh_proof::hired::{CAP_LOG, DEGREE, Hired, Shape, WORK_BITS};
use proofmesh_proof::profile::SALT;
use proofmesh_proof::reject::Reject;
use proofmesh_proof::scalar::Scalar;
use proofmesh_proof::transcript::Channel;

use ark_ff::PrimeField;

use crate::bits::number;
use crate::circuit::Circuit;
use crate::poseidon::element;
use crate::queries::{Place, Queries, climb, demand, inner, read_row, restore};
use crate::r1cs::{Builder, Num};
use crate::scalar::Wire;
use crate::transcript::{Transcript, message};
use crate::verifier::{self, Claim, Opened, Wrapped};

/// Powers of a place that are spelt shortly, with which a polynomial's blocks are evaluated; each block's own power is two factors long.
const BLOCK_LOG: usize = 3;

/// An opening, as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// `mu`, the value of the uniform vector.
    pub masked: K,
    /// The combination `v`, its random coefficients last.
    pub combined: Vec<K>,
    /// Random coefficients of R.
    pub masks: Vec<K>,
    /// Opened rows.
    pub queries: Queries,
}

/// [`crate::verifier::circuit`] of proofs that hide.
///
/// Errors: as there.
pub fn circuit(of: &Statement, proof: Option<&Proof<Hired>>) -> Result<Builder, Reject> {
    verifier::circuit(of, proof)
}

/// Reads a proof that another handed over, and checks that it holds of the statement: before minutes are spent on wrapping it.
///
/// Errors: `proof.size`, `proof.encoding`; those of the statement's system and of the verifier.
pub fn accept(of: &Statement, bytes: &[u8]) -> Result<Proof<Hired>, Reject> {
    let proof = Proof::decode(bytes)?;
    engine::verify::<Hired>(&of.system(&Images::default())?.system, &verifier::binding(of)?, &proof)?;
    Ok(proof)
}

impl Wrapped for Hired {
    const NAME: &'static str = "hired";
    type Scheme = Shape;
    type Opening = Opening;

    fn wires(log: usize) -> Result<(Shape, usize), Reject> {
        Ok((Shape::of(log)?, 1 << CAP_LOG))
    }

    fn blank(shape: &Shape) -> Opening {
        Opening {
            masked: K::ZERO,
            combined: vec![K::ZERO; shape.dimension()],
            masks: vec![K::ZERO; shape.queries],
            queries: Queries::blank(shape.queries, shape.width() + SALT),
        }
    }

    fn fits(opening: &Opening, blank: &Opening) -> bool {
        opening.combined.len() == blank.combined.len()
            && opening.masks.len() == blank.masks.len()
            && opening.queries.fits(&blank.queries)
    }

    fn read(proof: &Proof<Self>) -> Result<Opened<Self>, Reject> {
        let pcs = &proof.pcs;
        let (salts, siblings) = &pcs.paths;
        let salted = |(row, salts): (&Vec<F>, &Vec<Vec<F>>)| {
            row.iter().chain(salts.iter().flatten()).copied().collect()
        };
        let queries = Queries {
            work: pcs.work,
            rows: pcs.rows.iter().zip(salts).map(salted).collect(),
            siblings: siblings.sibling_hashes.iter().map(|[s]| element(*s)).collect(),
        };
        Ok(Opened {
            cap: proof.commitment.roots().iter().map(|[root]| element(*root)).collect(),
            value: pcs.value,
            masks: Some(proof.masks.0.clone()),
            opening: Opening {
                masked: pcs.masked,
                combined: pcs.combined.clone(),
                masks: pcs.masks.clone(),
                queries,
            },
        })
    }

    fn absorb(shape: &Shape, transcript: &mut Transcript<'_>, cap: &[Num]) {
        transcript.absorb_known(&shape.seed());
        cap.iter().for_each(|root| transcript.absorb_root(root.clone()));
    }

    fn demand<'c>(
        shape: &Shape,
        transcript: &mut Transcript<'c>,
        cap: &[Num],
        claim: Claim<'_, 'c>,
        opening: &Opening,
    ) {
        let circuit = transcript.circuit;
        let (t, masks) = claim.masked.expect("the rounds of a proof that hides are masked");
        let masked = message(circuit, opening.masked);
        transcript.absorb(&[masked]);
        let gamma = transcript.draw();
        let before = circuit.builder().enter("messages");
        let messages = |values: &[K]| values.iter().map(|v| message(circuit, *v)).collect::<Vec<Wire<'c>>>();
        let (mut combined, random) = (messages(&opening.combined), messages(&opening.masks));
        circuit.builder().enter(before);
        transcript.absorb(&combined);
        transcript.absorb(&random);
        let eta = transcript.draw();
        let (high, low) = claim.point.split_at(shape.fold);
        let value = extension_at(low, &combined[..shape.message()]);
        demand(value, masked + gamma * claim.value);
        transcript.check_work(WORK_BITS, opening.queries.work);
        let indices: Vec<Vec<Num>> =
            (0..shape.queries).map(|_| transcript.draw_bits(shape.index_bits())).collect();
        let positions: Vec<usize> =
            indices.iter().map(|i| number(i).value.into_bigint().0[0] as usize).collect();
        let paths = restore(&opening.queries, &positions, shape.index_bits() - CAP_LOG, transcript);
        // One polynomial for both checks of a row.
        let (lowest, highest) = combined.split_at_mut(shape.message());
        for (c, m) in lowest.iter_mut().zip(masks).chain(highest.iter_mut().zip(&random)) {
            *c = (*c + eta * *m).reduced();
        }
        let weights: Vec<Wire<'c>> = eq_table(high, Wire::ONE).into_iter().map(Wire::reduced).collect();
        for ((index, row), path) in indices.iter().zip(&opening.queries.rows).zip(paths) {
            circuit.builder().enter("opened rows");
            let (row, digits) = read_row(circuit, row, true);
            climb(&mut circuit.builder(), transcript.poseidon, &digits, (index, path), cap);
            circuit.builder().enter("evaluations");
            let left = evaluate(circuit, index, &combined);
            circuit.builder().enter("rows combined");
            let chunks = 1 << shape.fold;
            let [g, n, m] = [0, 1, 2].map(|i| {
                let limbs = &digits[chunks + i * DEGREE..][..DEGREE];
                Wire::At(circuit, circuit.of_digits(limbs.to_vec()))
            });
            demand(left, g + gamma * inner(&weights, &row[..chunks]) + eta * (n + t * m));
        }
        circuit.builder().enter(before);
    }
}

/// A polynomial at a place.
///
/// The powers below `2^BLOCK_LOG` are reduced, as every block meets them; a block's own power does not depend on the index' top BLOCK_LOG bits and is met
/// once: two looked-up factors of 31 bits, never reduced.
fn evaluate<'c>(circuit: &'c Circuit, index: &[Num], coefficients: &[Wire<'c>]) -> Wire<'c> {
    let rest = index.len() - BLOCK_LOG;
    let place = Place::new(circuit, index, &[rest.div_ceil(2), rest / 2, BLOCK_LOG]);
    let x = place.power(1).reduced();
    let powers: Vec<Wire<'c>> =
        core::iter::successors(Some(Wire::ONE), |p| Some((*p * x).reduced())).take(1 << BLOCK_LOG).collect();
    let blocks = coefficients.chunks(powers.len()).enumerate();
    blocks.map(|(i, block)| inner(&powers, block) * place.power(i << BLOCK_LOG)).sum()
}
