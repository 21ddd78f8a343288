//! The tamper table of [`Proof`]: for every field of every struct in it, changes and the check that must refuse each.

use p3_field::PrimeCharacteristicRing;
use p3_merkle_tree::PrunedMerklePaths;
use p3_sumcheck::zk::ZkSumcheckData;
use p3_whir::pcs::zk::{BaseCaseZkProof, BlindedMask, MaskOpeningPair, ZkRoundProof};
use p3_whir::{QueryOpenings, SharedProofOpening};
use proofmesh_proof::claims::MainProof;
use proofmesh_proof::engine;
use proofmesh_proof::field::{F, K};
use proofmesh_proof::logup::{LayerProof, LogupProof};
use proofmesh_proof::opening::{MaskProof, OpeningProof};
use proofmesh_proof::profile::{Hiding, Profile, Suite};

use crate::{S, WORDS, Word, alter, zero};

/// Changes the first proof; the second is another honest one of the same statement.
type Change = dyn Fn(&mut Proof, &mut Proof);

/// One way to tamper with one field.
pub struct Row {
    /// Struct, field and change.
    pub name: String,
    /// The check that must refuse it.
    pub check: &'static str,
    /// The change.
    pub change: Box<Change>,
}

/// The suite's own types.
type P = Hiding<S>;
type Proof = engine::Proof<P>;
type Commitment = <P as Profile>::Commitment;
type PcsProof = <P as Profile>::PcsProof;
type Mmcs = <S as Suite>::Salted;
type Paths = PrunedMerklePaths<Word, WORDS>;
type Multi = (Vec<Vec<Vec<F>>>, Paths);
type Sumcheck = ZkSumcheckData<F, K>;
type Round = ZkRoundProof<F, K, Mmcs>;
type BaseCase = BaseCaseZkProof<F, K, Mmcs>;
type Blinded = BlindedMask<K>;
type Pair = MaskOpeningPair<K, Multi>;
type BaseRows = SharedProofOpening<F, Multi>;
type Rows = SharedProofOpening<K, Multi>;

/// Rows for all fields of one struct: each field of the exhaustive pattern lists its changes, at least one.
macro_rules! fields {
    ($out:ident, $place:literal, $at:expr, $ty:ident {
        $($field:ident: [$(($what:literal, $check:literal, $change:expr)),+ $(,)?]),+ $(,)?
    }) => {
        let _exhaustive = |value: &$ty| { let $ty { $($field: _),+ } = value; };
        $($($out.push(Row {
            name: format!("{}.{}: {}", $place, stringify!($field), $what),
            check: $check,
            change: Box::new(|proof, other| {
                let at: fn(&mut Proof) -> &mut $ty = $at;
                swap_in(&mut at(proof).$field, &mut at(other).$field, $change);
            }),
        });)+)+
    };
}

/// Changes a field, given the same field of another honest proof.
fn swap_in<T>(mine: &mut T, other: &mut T, change: impl Fn(&mut T, &mut T)) {
    change(mine, other);
}

/// The rows of the base-field openings of a query.
fn base_rows(opening: &mut QueryOpenings<F, K, Multi>) -> &mut BaseRows {
    match opening {
        QueryOpenings::Base(rows) => rows,
        QueryOpenings::Extension(_) => panic!("the first oracle is over the base field"),
    }
}

/// The rows of the extension-field openings of a query.
fn extension_rows(opening: &mut QueryOpenings<F, K, Multi>) -> &mut Rows {
    match opening {
        QueryOpenings::Base(_) => panic!("folded oracles are over the extension"),
        QueryOpenings::Extension(rows) => rows,
    }
}

/// A root with one bit flipped.
fn flip_root(root: &mut Commitment) {
    let mut roots: Vec<[Word; WORDS]> = root.roots().to_vec();
    alter(&mut roots[0]);
    *root = Commitment::new(roots);
}

/// Takes the last element away.
fn shorten<T>(list: &mut Vec<T>) {
    list.truncate(list.len() - 1);
}

/// All rows.
pub fn rows() -> Vec<Row> {
    let mut out = Vec::new();
    messages(&mut out);
    commitment(&mut out);
    openings(&mut out);
    out
}

/// Our own messages.
fn messages(out: &mut Vec<Row>) {
    let _exhaustive = |value: &Proof| {
        let Proof { commitment: _, logup: _, main: _, opening: _, masks: _, pcs: _ } = value;
    };
    let mut row = |what: &str, change: fn(&mut Proof, &mut Proof)| {
        let change = Box::new(change);
        out.push(Row { name: format!("proof.{what}"), check: "opening.relation", change });
    };
    row("commitment: one bit of the root", |m, _| flip_root(&mut m.commitment));
    row("commitment: another proof's", |m, o| m.commitment = o.commitment.clone());
    row("commitment: two roots", |m, _| {
        m.commitment = Commitment::new([m.commitment.roots(), m.commitment.roots()].concat());
    });
    row("logup: another proof's", |m, o| m.logup = o.logup.clone());
    row("main: another proof's", |m, o| m.main = o.main.clone());
    row("opening: another proof's", |m, o| (m.opening, m.masks) = (o.opening.clone(), o.masks.clone()));
    row("pcs: another proof's", |m, o| m.pcs = o.pcs.clone());
    fields!(
        out,
        "logup",
        |p| &mut p.logup,
        LogupProof {
            root: [
                ("q(0) + 1", "opening.relation", |m, _| m[0] += K::ONE),
                ("q(1) + 1", "opening.relation", |m, _| m[1] += K::ONE),
                ("p(0) + 1", "opening.relation", |m, _| m[2] += K::ONE),
                ("q(0) = 0", "logup.root", |m, _| m[0] = K::ZERO),
                ("q(1) = 0", "logup.root", |m, _| m[1] = K::ZERO),
                ("halves exchanged", "opening.relation", |m, _| m.swap(0, 1)),
            ],
            layers: [
                ("none", "logup.layers", |m, _| m.clear()),
                ("one less", "logup.layers", |m, _| shorten(m)),
                ("one more", "logup.layers", |m, _| m.push(m[0].clone())),
                ("two exchanged", "logup.rounds", |m, _| m.swap(1, 2)),
                ("another proof's last", "opening.relation", |m, o| *m.last_mut().unwrap() =
                    o.pop().unwrap()),
            ],
        }
    );
    fields!(
        out,
        "logup.layers[2]",
        |p| &mut p.logup.layers[2],
        LayerProof {
            rounds: [
                ("first coefficient + 1", "opening.relation", |m, _| m[0][0] += K::ONE),
                ("last coefficient + 1", "opening.relation", |m, _| *m[2].last_mut().unwrap() += K::ONE),
                ("a coefficient less", "logup.rounds", |m, _| shorten(&mut m[1])),
                ("a coefficient more", "logup.rounds", |m, _| m[1].push(K::ZERO)),
                ("a round less", "logup.rounds", |m, _| shorten(m)),
                ("a round more", "logup.rounds", |m, _| m.push(m[0].clone())),
                ("two rounds exchanged", "opening.relation", |m, _| m.swap(0, 1)),
            ],
            values: [
                ("p0 + 1", "opening.relation", |m, _| m[0] += K::ONE),
                ("p1 + 1", "opening.relation", |m, _| m[1] += K::ONE),
                ("q0 + 1", "opening.relation", |m, _| m[2] += K::ONE),
                ("q1 + 1", "opening.relation", |m, _| m[3] += K::ONE),
                ("p0 and p1 exchanged", "opening.relation", |m, _| m.swap(0, 1)),
            ],
        }
    );
    fields!(
        out,
        "main",
        |p| &mut p.main,
        MainProof {
            rounds: [
                ("first coefficient + 1", "opening.relation", |m, _| m[0][0] += K::ONE),
                ("last coefficient + 1", "opening.relation", |m, _| *m
                    .last_mut()
                    .unwrap()
                    .last_mut()
                    .unwrap() += K::ONE),
                ("a coefficient less", "claims.rounds", |m, _| shorten(&mut m[0])),
                ("a coefficient more", "claims.rounds", |m, _| m[0].push(K::ZERO)),
                ("a round less", "claims.rounds", |m, _| shorten(m)),
                ("a round more", "claims.rounds", |m, _| m.push(m[0].clone())),
                ("none", "claims.rounds", |m, _| m.clear()),
            ],
            values: [
                ("first + 1", "opening.relation", |m, _| m[0] += K::ONE),
                ("last + 1", "opening.relation", |m, _| *m.last_mut().unwrap() += K::ONE),
                ("one less", "claims.values", |m, _| shorten(m)),
                ("one more", "claims.values", |m, _| m.push(K::ZERO)),
                ("two exchanged", "opening.relation", |m, _| m.swap(0, 1)),
            ],
        }
    );
    fields!(
        out,
        "opening",
        |p| &mut p.opening,
        OpeningProof {
            rounds: [
                ("first + 1", "opening.relation", |m, _| m[0][0] += K::ONE),
                ("last + 1", "opening.relation", |m, _| m.last_mut().unwrap()[1] += K::ONE),
                ("one less", "opening.rounds", |m, _| shorten(m)),
                ("one more", "opening.rounds", |m, _| m.push([K::ZERO; 2])),
                ("two exchanged", "opening.relation", |m, _| m.swap(3, 4)),
            ],
        }
    );
    fields!(
        out,
        "opening",
        |p| &mut p.masks,
        MaskProof {
            cross: [
                ("+ 1", "opening.relation", |m, _| *m += K::ONE),
                ("0", "opening.relation", |m, _| *m = K::ZERO),
            ],
            masks: [
                ("first + 1", "opening.relation", |m, _| m[0] += K::ONE),
                ("last + 1", "opening.relation", |m, _| *m.last_mut().unwrap() += K::ONE),
                ("one less", "opening.rounds", |m, _| shorten(m)),
                ("one more", "opening.rounds", |m, _| m.push(K::ZERO)),
            ],
        }
    );
}

/// The commitment's opening proof without its Merkle openings.
fn commitment(out: &mut Vec<Row>) {
    fields!(
        out,
        "pcs",
        |p| &mut p.pcs,
        PcsProof {
            evals: [
                ("A(s) + 1", "opening.relation", |m, _| m[0] += K::ONE),
                ("masks + 1", "opening.masks", |m, _| m[1] += K::ONE),
                ("exchanged", "opening.relation", |m, _| m.swap(0, 1)),
                ("one less", "opening.value", |m, _| shorten(m)),
                ("one more", "opening.value", |m, _| m.push(K::ZERO)),
            ],
            sumchecks: [
                ("another proof's", "commitment.opening", |m, o| *m = o.clone()),
                ("one less", "commitment.opening", |m, _| shorten(m)),
                ("one more", "commitment.opening", |m, _| m.push(m[0].clone())),
            ],
            sumcheck_mask_commitments: [
                ("one bit of the first", "commitment.opening", |m, _| flip_root(&mut m[0])),
                ("one bit of the last", "commitment.opening", |m, _| flip_root(m.last_mut().unwrap())),
                ("one less", "commitment.opening", |m, _| shorten(m)),
                ("exchanged", "commitment.opening", |m, _| m.swap(0, 1)),
            ],
            rounds: [
                ("another proof's", "commitment.opening", |m, o| *m = o.clone()),
                ("none", "commitment.opening", |m, _| m.clear()),
                ("one more", "commitment.opening", |m, _| m.push(m[0].clone())),
            ],
            base_case: [("another proof's", "commitment.opening", |m, o| *m = o.clone())],
        }
    );
    fields!(
        out,
        "pcs.sumchecks[1]",
        |p| &mut p.pcs.sumchecks[1],
        Sumcheck {
            mu_tilde: [("+ 1", "commitment.opening", |m, _| *m += K::ONE)],
            round_coefficients: [
                ("first + 1", "commitment.opening", |m, _| m[0][0] += K::ONE),
                ("a coefficient less", "commitment.opening", |m, _| shorten(&mut m[0])),
                ("a coefficient more", "commitment.opening", |m, _| m[0].push(K::ZERO)),
                ("a round less", "commitment.opening", |m, _| shorten(m)),
                ("a round more", "commitment.opening", |m, _| m.push(m[0].clone())),
            ],
            pow_witnesses: [("one more", "commitment.opening", |m, _| m.push(F::ZERO))],
        }
    );
    fields!(
        out,
        "pcs.rounds[0]",
        |p| &mut p.pcs.rounds[0],
        Round {
            commitment: [("one bit", "commitment.opening", |m, _| flip_root(m))],
            mask_commitment: [("one bit", "commitment.opening", |m, _| flip_root(m))],
            ood_answers: [("one more", "commitment.opening", |m, _| m.push(K::ZERO))],
            pow_witness: [("+ 1", "commitment.opening", |m, _| *m += F::ONE)],
            openings: [
                ("another proof's", "commitment.opening", std::mem::swap),
                ("over the other field", "commitment.opening", |m, _| {
                    let rows = base_rows(m);
                    let lifted = rows.rows.iter().map(|r| r.iter().map(|v| K::from(*v)).collect()).collect();
                    *m = QueryOpenings::Extension(Rows { rows: lifted, proof: rows.proof.clone() });
                }),
            ],
        }
    );
    fields!(
        out,
        "pcs.base_case",
        |p| &mut p.pcs.base_case,
        BaseCase {
            fresh_main_commitment: [("one bit", "commitment.opening", |m, _| flip_root(m))],
            fresh_mask_commitments: [
                ("one bit", "commitment.opening", |m, _| flip_root(&mut m[0])),
                ("one less", "commitment.opening", |m, _| shorten(m)),
            ],
            masked_claim: [("+ 1", "commitment.opening", |m, _| *m += K::ONE)],
            blinded_message: [
                ("first + 1", "commitment.opening", |m, _| m[0] += K::ONE),
                ("one less", "commitment.opening", |m, _| shorten(m)),
                ("one more", "commitment.opening", |m, _| m.push(K::ZERO)),
                ("none", "commitment.opening", |m, _| m.clear()),
            ],
            blinded_randomness: [
                ("first + 1", "commitment.opening", |m, _| m[0] += K::ONE),
                ("one less", "commitment.opening", |m, _| shorten(m)),
                ("one more", "commitment.opening", |m, _| m.push(K::ZERO)),
            ],
            blinded_masks: [
                ("two exchanged", "commitment.opening", |m, _| m.swap(0, 1)),
                ("one less", "commitment.opening", |m, _| shorten(m)),
                ("none", "commitment.opening", |m, _| m.clear()),
            ],
            pow_witness: [("+ 1", "commitment.opening", |m, _| *m += F::ONE)],
            source_openings: [
                ("another proof's", "commitment.opening", std::mem::swap),
                ("over the other field", "commitment.opening", |m, _| {
                    let proof = extension_rows(m).proof.clone();
                    *m = QueryOpenings::Base(BaseRows { rows: Vec::new(), proof });
                }),
            ],
            fresh_main_openings: [("another proof's", "commitment.opening", std::mem::swap)],
            mask_openings: [
                ("two exchanged", "commitment.opening", |m, _| m.swap(0, 1)),
                ("one less", "commitment.opening", |m, _| shorten(m)),
                ("none", "commitment.opening", |m, _| m.clear()),
            ],
        }
    );
    fields!(
        out,
        "pcs.base_case.blinded_masks[0]",
        |p| &mut p.pcs.base_case.blinded_masks[0],
        Blinded {
            message: [
                ("first + 1", "commitment.opening", |m, _| m[0] += K::ONE),
                ("one less", "commitment.opening", |m, _| shorten(m)),
                ("one more", "commitment.opening", |m, _| m.push(K::ZERO)),
            ],
            randomness: [
                ("first + 1", "commitment.opening", |m, _| m[0] += K::ONE),
                ("one less", "commitment.opening", |m, _| shorten(m)),
                ("one more", "commitment.opening", |m, _| m.push(K::ZERO)),
            ],
        }
    );
}

/// The Merkle openings.
fn openings(out: &mut Vec<Row>) {
    fields!(
        out,
        "pcs.base_case.mask_openings[1]",
        |p| &mut p.pcs.base_case.mask_openings[1],
        Pair {
            carried: [("another proof's", "commitment.opening", std::mem::swap)],
            fresh: [("another proof's", "commitment.opening", std::mem::swap)],
        }
    );
    fields!(
        out,
        "pcs.rounds[0].openings",
        |p| base_rows(&mut p.pcs.rounds[0].openings),
        BaseRows {
            rows: [
                ("a value + 1", "commitment.opening", |m, _| m[0][0] += F::ONE),
                ("the last value + 1", "commitment.opening", |m, _| *m
                    .last_mut()
                    .unwrap()
                    .last_mut()
                    .unwrap() += F::ONE),
                ("a value less", "commitment.opening", |m, _| shorten(&mut m[0])),
                ("a value more", "commitment.opening", |m, _| m[0].push(F::ZERO)),
                ("a row less", "commitment.opening", |m, _| shorten(m)),
                ("a row more", "commitment.opening", |m, _| m.push(m[0].clone())),
                ("none", "commitment.opening", |m, _| m.clear()),
                ("two exchanged", "commitment.opening", |m, _| m.swap(0, 1)),
            ],
            proof: [("another proof's", "commitment.opening", std::mem::swap)],
        }
    );
    for (place, at) in [
        (
            "source",
            (|p: &mut Proof| extension_rows(&mut p.pcs.base_case.source_openings))
                as fn(&mut Proof) -> &mut Rows,
        ),
        ("fresh main", |p| &mut p.pcs.base_case.fresh_main_openings),
        ("carried mask", |p| &mut p.pcs.base_case.mask_openings[0].carried),
        ("fresh mask", |p| &mut p.pcs.base_case.mask_openings[0].fresh),
    ] {
        extension(out, place, at);
    }
    multi(out);
}

/// The rows over the extension and their salts.
fn extension(out: &mut Vec<Row>, place: &'static str, at: fn(&mut Proof) -> &mut Rows) {
    let _exhaustive = |value: &Rows| {
        let Rows { rows: _, proof: (_salts, _paths) } = value;
    };
    let mut row = |what: &str, change: fn(&mut Rows)| {
        out.push(Row {
            name: format!("pcs.base_case, {place}: {what}"),
            check: "commitment.opening",
            change: Box::new(move |proof, _| change(at(proof))),
        });
    };
    row("a value + 1", |m| m.rows[0][0] += K::ONE);
    row("a value less", |m| shorten(&mut m.rows[0]));
    row("a row less", |m| shorten(&mut m.rows));
    row("a row more", |m| m.rows.push(m.rows[0].clone()));
    row("no rows", |m| m.rows.clear());
    row("a salt + 1", |m| m.proof.0[0][0][0] += F::ONE);
    row("a value moved into the salt", |m| {
        let limbs: Vec<F> =
            p3_field::BasedVectorSpace::<F>::as_basis_coefficients_slice(&m.rows[0][0]).to_vec();
        m.rows[0].drain(..1);
        m.proof.0[0][0].splice(0..0, limbs);
    });
    row("a sibling's bit", |m| alter(&mut m.proof.1.sibling_hashes[0]));
}

/// A compact Merkle proof and its salts.
fn multi(out: &mut Vec<Row>) {
    let _exhaustive = |value: &Multi| {
        let (_salts, Paths { sibling_hashes: _ }) = value;
    };
    let mut row = |what: &str, change: fn(&mut Multi)| {
        out.push(Row {
            name: format!("pcs.rounds[0].openings.proof: {what}"),
            check: "commitment.opening",
            change: Box::new(move |proof, _| change(&mut base_rows(&mut proof.pcs.rounds[0].openings).proof)),
        });
    };
    row("a salt + 1", |m| m.0[0][0][0] += F::ONE);
    row("a salt element less", |m| shorten(&mut m.0[0][0]));
    row("a salt element more", |m| m.0[0][0].push(F::ZERO));
    row("a salt less", |m| shorten(&mut m.0[0]));
    row("a salt more", |m| m.0[0].push(vec![F::ZERO; 5]));
    row("a query's salts less", |m| shorten(&mut m.0));
    row("no salts", |m| m.0.clear());
    row("first sibling's bit", |m| alter(&mut m.1.sibling_hashes[0]));
    row("last sibling's bit", |m| alter(m.1.sibling_hashes.last_mut().unwrap()));
    row("a sibling less", |m| shorten(&mut m.1.sibling_hashes));
    row("a sibling more", |m| m.1.sibling_hashes.push([zero(); WORDS]));
    row("two siblings exchanged", |m| m.1.sibling_hashes.swap(0, 1));
    row("no siblings", |m| m.1.sibling_hashes.clear());
}
