//! Plain proofs, as the circuit reads them: their commitment's opening is [`crate::whir`].

use ark_bn254::Fr;
use p3_field::BasedVectorSpace;
use p3_sumcheck::SumcheckData;
use p3_sumcheck::layout::PrefixProver;
use p3_whir::{QueryOpenings, WhirShape};
use proofmesh_graph::statement::Statement;
use proofmesh_proof::engine::Proof;
use proofmesh_proof::field::{F, K};
use proofmesh_proof::plain::{self, CAP_LOG, Plain};
use proofmesh_proof::profile::Profile;
use proofmesh_proof::reject::Reject;

use crate::poseidon::element;
use crate::queries::Queries;
use crate::r1cs::{Builder, Num};
use crate::transcript::Transcript;
use crate::verifier::{self, Claim, Opened, Wrapped};
use crate::whir::{Fold, Opening, Round, Scheme};

/// [`crate::verifier::circuit`] of plain proofs.
///
/// Errors: as there.
pub fn circuit(of: &Statement, proof: Option<&Proof<Plain>>) -> Result<Builder, Reject> {
    verifier::circuit(of, proof)
}

impl Wrapped for Plain {
    const NAME: &'static str = "plain";
    type Scheme = Scheme;
    type Opening = Opening;

    fn wires(log: usize) -> Result<(Scheme, usize), Reject> {
        let shape = WhirShape::new(&plain::config(log)?, 1);
        Ok((Scheme::new::<PrefixProver<F, K>>(shape, CAP_LOG), 1 << CAP_LOG))
    }

    fn blank(scheme: &Scheme) -> Opening {
        scheme.blank()
    }

    fn fits(opening: &Opening, blank: &Opening) -> bool {
        opening.fits(blank)
    }

    fn read(proof: &Proof<Self>) -> Result<Opened<Self>, Reject> {
        let missing = || Reject::new("proof.shape", "a proof of the plain profile", "a part is missing");
        let caps = |cap: &<Plain as Profile>::Commitment| -> Vec<Fr> {
            cap.roots().iter().map(|[root]| element(*root)).collect()
        };
        let fold = |data: &SumcheckData<F, K>| Fold {
            rounds: data.polynomial_evaluations.clone(),
            work: data.pow_witnesses.clone(),
        };
        let queries = |work: F, openings: &QueryOpenings<F, K, _>| {
            let (rows, siblings): (Vec<Vec<F>>, &p3_merkle_tree::PrunedMerklePaths<_, 1>) = match openings {
                QueryOpenings::Base(o) => (o.rows.clone(), &o.proof),
                QueryOpenings::Extension(o) => {
                    let flat = |row: &Vec<K>| {
                        let parts = row.iter().flat_map(|v| v.as_basis_coefficients_slice());
                        parts.copied().collect::<Vec<F>>()
                    };
                    (o.rows.iter().map(flat).collect(), &o.proof)
                }
            };
            Queries { work, rows, siblings: siblings.sibling_hashes.iter().map(|[s]| element(*s)).collect() }
        };
        let whir = &proof.pcs.whir;
        let mut rounds = Vec::new();
        for round in &whir.rounds {
            rounds.push(Round {
                cap: caps(round.commitment.as_ref().ok_or_else(missing)?),
                outside: round.ood_answers.clone(),
                queries: queries(round.pow_witness, &round.openings),
                fold: fold(&round.sumcheck),
            });
        }
        let [value] = Plain::values(&proof.pcs)[..] else { return Err(missing()) };
        let opening = Opening {
            outside: whir.initial_ood_answers.clone(),
            fold: fold(&whir.initial_sumcheck),
            rounds,
            last: whir.final_poly.as_ref().ok_or_else(missing)?.as_slice().to_vec(),
            queries: queries(whir.final_pow_witness, &whir.final_openings),
            last_fold: whir.final_sumcheck.as_ref().map(fold).unwrap_or_default(),
        };
        Ok(Opened { cap: caps(&proof.commitment), value, masks: None, opening })
    }

    fn absorb(scheme: &Scheme, transcript: &mut Transcript<'_>, cap: &[Num]) {
        scheme.observe(transcript, cap);
    }

    fn demand<'c>(
        scheme: &Scheme,
        transcript: &mut Transcript<'c>,
        cap: &[Num],
        claim: Claim<'_, 'c>,
        opening: &Opening,
    ) {
        scheme.verify(transcript, cap, &[(claim.point, claim.value)], opening);
    }
}
