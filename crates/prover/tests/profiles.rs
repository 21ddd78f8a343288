//! The profiles *chain* and *plain*: proofs verify under their own profile and no other, and say how sound they are; *plain*, which hides
//! nothing, is refused unless asked for; its tamper table is held against a second verifier, written by hand.

mod plain_by_hand;
mod toys;

use std::sync::OnceLock;

use p3_field::PrimeCharacteristicRing;
use p3_sumcheck::{OpeningBatch, SumcheckData};
use p3_whir::{PcsProof, QueryOpenings, SharedProofOpening, WhirProof, WhirRoundProof};
use proofmesh_graph::op::{ExtremePool, Op};
use proofmesh_graph::program::{Output, WeightMode};
use proofmesh_graph::statement::{self, Images, ProofFile, decode_proof, encode_proof};
use proofmesh_proof::chain::Chain;
use proofmesh_proof::engine::{self, Proof};
use proofmesh_proof::field::{F, K};
use proofmesh_proof::hired::Hired;
use proofmesh_proof::opening;
use proofmesh_proof::plain::{self, Plain, Trees};
use proofmesh_proof::plan::Plan;
use proofmesh_proof::profile::{Device, Kind, Profile, stubs};
use proofmesh_proof::soundness::TARGET_BITS;
use proofmesh_proof::system::Words;
use proofmesh_proof::transcript::Channel;
use proofmesh_prover::Proved;
use rand::SeedableRng;
use rand::rngs::StdRng;
use toys::{Toy, conv, node, program, rescale, window};

/// Large enough that the plain commitment folds twice.
fn toy() -> Toy {
    let mut rng = StdRng::seed_from_u64(40);
    let nodes = vec![
        node("conv", conv(&mut rng, [1, 1, 1], window([2, 2], [1, 1]), rescale(8, 0, 127), 40), &[0]),
        node("pool", Op::ExtremePool(ExtremePool { window: window([1, 2], [1, 1]), smallest: false }), &[1]),
    ];
    Toy::random(program([1, 20, 20], nodes, vec![Output::Values(2)], WeightMode::Public), 1, 41)
}

/// A plain proof of it, made once.
fn plain() -> &'static Proved {
    static PLAIN: OnceLock<Proved> = OnceLock::new();
    PLAIN.get_or_init(|| toy().prove_as(Kind::Plain, 42))
}

/// The check by which a profile's own verifier refuses a file.
fn refusal<P: Profile>(proved: &Proved, file: &[u8]) -> &'static str {
    statement::verify_as::<P>(&proved.statement, file).expect_err("a false file was accepted").check
}

#[test]
fn a_proof_is_of_its_own_profile_only() {
    let toy = toy();
    let [device, chain, hired] = [Kind::Device, Kind::Chain, Kind::Hired].map(|kind| toy.prove_as(kind, 42));
    for (kind, proved) in Kind::ALL.into_iter().zip([&device, &chain, plain(), &hired]) {
        let own = [
            statement::verify_as::<Device>(&proved.statement, &proved.file),
            statement::verify_as::<Chain>(&proved.statement, &proved.file),
            statement::verify_as::<Plain>(&proved.statement, &proved.file),
            statement::verify_as::<Hired>(&proved.statement, &proved.file),
        ];
        for (other, verdict) in Kind::ALL.into_iter().zip(own) {
            let check = verdict.err().map(|refused| refused.check);
            assert_eq!(check, (other != kind).then_some("statement.profile"), "{kind:?} as {other:?}");
        }
        let by_default = statement::verify(&proved.statement, &proved.file);
        // Proofs for circuits are no files that travel.
        let travels = [Kind::Device, Kind::Chain].contains(&kind);
        assert_eq!(by_default.is_ok(), travels, "{kind:?}: {by_default:?}");
        let claimed = statement::claimed_by(&proved.file).expect("an honest file").profile();
        assert_eq!(claimed.expect("a profile"), kind);
        // The same bytes under another profile's number are no proof of that profile.
        for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
            let mut relabelled = proved.file.clone();
            relabelled[0] = relabelled[0] & 15 | other.number() << 4;
            let check = match other {
                Kind::Device => refusal::<Device>(proved, &relabelled),
                Kind::Chain => refusal::<Chain>(proved, &relabelled),
                Kind::Plain => refusal::<Plain>(proved, &relabelled),
                Kind::Hired => refusal::<Hired>(proved, &relabelled),
            };
            assert_eq!(check, "proof.encoding", "{kind:?} relabelled as {other:?}");
        }
        let (terms, bits) = statement::soundness(&proved.statement, kind).expect("terms");
        assert!(bits >= TARGET_BITS, "{kind:?}: {bits:.1} bits of {terms:?}");
        println!("{}: {} bytes, {bits:.1} bits", kind.name(), proved.file.len());
    }
    let refused = statement::verify(&plain().statement, &plain().file).expect_err("it hides nothing");
    assert_eq!(refused.check, "statement.profile");
}

type Row = (&'static str, &'static str, fn(&mut Proof<Plain>));

fn base(openings: &mut QueryOpenings<F, K, <Trees as p3_commit::Mmcs<F>>::MultiProof>) -> &mut Vec<Vec<F>> {
    match openings {
        QueryOpenings::Base(SharedProofOpening { rows, proof: _ }) => rows,
        QueryOpenings::Extension(_) => panic!("the first code is over the base field"),
    }
}

fn extension(
    openings: &mut QueryOpenings<F, K, <Trees as p3_commit::Mmcs<F>>::MultiProof>,
) -> (&mut Vec<Vec<K>>, &mut Vec<[p3_bn254::Bn254; 1]>) {
    match openings {
        QueryOpenings::Base(_) => panic!("folded codes are over the extension"),
        QueryOpenings::Extension(SharedProofOpening { rows, proof }) => (rows, &mut proof.sibling_hashes),
    }
}

/// Another cap of roots.
fn alter(cap: &mut <Plain as Profile>::Commitment) {
    let mut roots = cap.roots().to_vec();
    roots[3][0] += p3_bn254::Bn254::ONE;
    *cap = <Plain as Profile>::Commitment::new(roots);
}

/// What the verifier by hand says of the opening of a proof, after our own reduction.
fn by_hand(proved: &Proved, file: &ProofFile<Plain>) -> bool {
    let proof = &file.proof;
    let system = proved.statement.system(&Images::default()).expect("an honest statement").system;
    let plan = Plan::new(&system, false).expect("a system of ours");
    let [salts, masks] = stubs();
    let pcs = Plain::scheme(plan.log, salts, masks).expect("a supported size");
    let mut transcript = engine::start::<Plain>(&plan, &proved.statement.binding(Kind::Plain));
    Plain::observe(&pcs, &proof.commitment, &mut transcript.challenger);
    let reduced = engine::reduce(&system, &plan, Words::Values, &proof.logup, &proof.main, &mut transcript);
    let Ok(equations) = reduced else { return false };
    let mu = transcript.draw();
    let folded = opening::fold(&plan, equations, mu);
    let Ok(walked) = opening::read(&plan, folded.value, &proof.opening, &mut transcript) else {
        return false;
    };
    let alpha = proof.pcs.evals.first().and_then(|batch| batch.current().first().copied());
    let relation = alpha.is_some_and(|alpha| walked.sum == folded.at(&plan, &walked.point) * alpha);
    let (config, cap) = (plain::config(plan.log).expect("a supported size"), proof.commitment.roots());
    let sponge = &mut transcript.challenger;
    relation && plain_by_hand::verify(&config, cap, &proof.pcs, &walked.point, sponge).is_some()
}

/// Rows for every field of the plain commitment's proof: the patterns have no `..`.
fn rows() -> Vec<Row> {
    let _exhaustive = |proof: PcsProof<F, K, Trees>| {
        let PcsProof { whir, evals: _ } = proof;
        let WhirProof {
            initial_ood_answers: _,
            initial_sumcheck,
            rounds,
            final_poly: _,
            final_pow_witness: _,
            final_openings: _,
            final_sumcheck: _,
        } = whir;
        let SumcheckData { polynomial_evaluations: _, pow_witnesses: _ } = initial_sumcheck;
        for WhirRoundProof { commitment: _, ood_answers: _, pow_witness: _, openings: _, sumcheck: _ } in
            rounds
        {}
    };
    const PCS: &str = "commitment.opening";
    vec![
        ("opening, a coefficient", "opening.relation", |p| p.opening.rounds[2][1] += K::ONE),
        ("opening, a round less", "opening.rounds", |p| p.opening.rounds.truncate(3)),
        ("main value", "opening.relation", |p| p.main.values[0] += K::ONE),
        ("look-up value", "opening.relation", |p| p.logup.layers[1].values[2] += K::ONE),
        ("look-up root", "opening.relation", |p| p.logup.root[0] += K::ONE),
        ("another commitment", "opening.relation", |p| alter(&mut p.commitment)),
        ("value", "opening.relation", |p| {
            let value = p.pcs.evals[0].current()[0] + K::ONE;
            p.pcs.evals[0] = OpeningBatch::new(vec![value], vec![]);
        }),
        ("value as another view", PCS, |p| {
            let value = p.pcs.evals[0].current()[0];
            p.pcs.evals[0] = OpeningBatch::new(vec![], vec![value]);
        }),
        ("no value", "opening.value", |p| p.pcs.evals.clear()),
        ("two values", "opening.value", |p| p.pcs.evals.push(OpeningBatch::new(vec![K::ONE], vec![]))),
        ("sample", PCS, |p| p.pcs.whir.initial_ood_answers[0] += K::ONE),
        ("sample less", PCS, |p| p.pcs.whir.initial_ood_answers.clear()),
        ("first sumcheck", PCS, |p| p.pcs.whir.initial_sumcheck.polynomial_evaluations[0][0] += K::ONE),
        ("first sumcheck shorter", PCS, |p| {
            p.pcs.whir.initial_sumcheck.polynomial_evaluations.pop();
        }),
        ("first sumcheck, a witness", PCS, |p| p.pcs.whir.initial_sumcheck.pow_witnesses.push(F::ONE)),
        ("no rounds", PCS, |p| p.pcs.whir.rounds.clear()),
        ("a round more", PCS, |p| p.pcs.whir.rounds.push(p.pcs.whir.rounds[0].clone())),
        ("round's root", PCS, |p| {
            alter(p.pcs.whir.rounds[0].commitment.as_mut().expect("a root"));
        }),
        ("round's root missing", PCS, |p| p.pcs.whir.rounds[0].commitment = None),
        ("round's sample", PCS, |p| p.pcs.whir.rounds[0].ood_answers[0] += K::ONE),
        ("round's witness", PCS, |p| p.pcs.whir.rounds[0].pow_witness += F::ONE),
        ("round's rows", PCS, |p| base(&mut p.pcs.whir.rounds[0].openings)[0][0] += F::ONE),
        ("round's rows fewer", PCS, |p| {
            base(&mut p.pcs.whir.rounds[0].openings).pop();
        }),
        ("round's row shorter", PCS, |p| {
            base(&mut p.pcs.whir.rounds[0].openings)[0].pop();
        }),
        ("round's sumcheck", PCS, |p| p.pcs.whir.rounds[0].sumcheck.polynomial_evaluations[1][1] += K::ONE),
        ("last polynomial", PCS, |p| {
            let mut values = p.pcs.whir.final_poly.take().expect("sent").into_evals();
            values[0] += K::ONE;
            p.pcs.whir.final_poly = Some(p3_multilinear_util::poly::Poly::new(values));
        }),
        ("no last polynomial", PCS, |p| p.pcs.whir.final_poly = None),
        ("last witness", PCS, |p| p.pcs.whir.final_pow_witness += F::ONE),
        ("last rows", PCS, |p| extension(&mut p.pcs.whir.final_openings).0[1][0] += K::ONE),
        ("last path", PCS, |p| extension(&mut p.pcs.whir.final_openings).1[0][0] += p3_bn254::Bn254::ONE),
        ("last path shorter", PCS, |p| {
            extension(&mut p.pcs.whir.final_openings).1.pop();
        }),
        ("last sumcheck", PCS, |p| match &mut p.pcs.whir.final_sumcheck {
            Some(data) => data.polynomial_evaluations[0][0] += K::ONE,
            none => *none = Some(SumcheckData::default()),
        }),
    ]
}

#[test]
fn every_field_of_a_plain_proof_is_refused_by_name() {
    let proved = plain();
    let honest: ProofFile<Plain> = decode_proof(&proved.file).expect("an honest file");
    assert_eq!(honest.proof.pcs.whir.rounds.len(), 1, "two phases: change the toy");
    assert!(by_hand(proved, &honest), "the verifier by hand accepts an honest proof");
    let mut wrong = Vec::new();
    for (name, check, change) in rows() {
        let mut lie = honest.clone();
        change(&mut lie.proof);
        if by_hand(proved, &lie) {
            wrong.push(format!("{name}: accepted by hand"));
        }
        match statement::verify_as::<Plain>(&proved.statement, &encode_proof(&lie)) {
            Err(refused) if refused.check == check => {}
            refused => wrong.push(format!("{name}: expected {check}, got {refused:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
