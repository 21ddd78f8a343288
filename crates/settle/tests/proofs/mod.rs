//! The second part of the story, on contracts of its own: proof now, the challenge game, accusations, a roll of
//! devices, and the end. Proofs are real ones of a small circuit ([`crate::toy`]).

use crate::scenario::*;
use crate::toy::{Toy, statement};
use proofmesh_market::hash::{Words, keccak_pair};
use proofmesh_market::tree::Tree;
use proofmesh_market::{Address, Assurance, Device, Domain, Hash32, Job, Order, Receipt, Usd, keccak};
use proofmesh_settle::{
    BalanceLeaf, Breach, Chain, CoverTerms, Evidence, ROLL_DEPTH, Roles, RollPlace, SettledReceipt,
    Settlement, VerifierKey,
};

const FARMER_2: u8 = 16;
const CHALLENGER: u8 = 17;

/// What the story needs to make receipts with their evidence.
struct Work {
    domain: Domain,
    toy: Toy,
    feed: Tree,
    job: Job,
}

/// The public words of a station's row: 72, a byte each.
fn row_of(station: u8) -> Vec<u8> {
    (0..72u32).map(|i| (i * u32::from(station)) as u8).collect()
}

impl Work {
    fn new(domain: Domain) -> Self {
        let row = |station: u8| {
            let mut bytes = device(station).device().0.to_vec();
            bytes.extend_from_slice(&START.to_be_bytes());
            bytes.extend(row_of(station));
            keccak(&keccak(&bytes).0)
        };
        let feed = Tree::new([21, 22, 23].map(row).to_vec());
        // Terms of inference, version 1: a class (0) and a feed; whole days from midnight.
        let mut terms = vec![1, 3, 0];
        terms.extend_from_slice(&DAY.to_be_bytes());
        terms.extend_from_slice(&(START % DAY).to_be_bytes());
        terms.extend_from_slice(&feed.root().0);
        let job = Job {
            buyer: who(BUYER),
            salt: keccak(b"salt"),
            service: keccak(b"proofmesh/inference/v1"),
            model: model(),
            input: Hash32::ZERO,
            unit_price: usd(1),
            max_units: 90,
            window_from_s: START,
            window_until_s: START + 30 * DAY,
            deadline_s: START + 60 * DAY,
            assurance: Assurance::Proof,
            slots: 1,
            cell: 5,
            devices: Vec::new(),
            terms,
        };
        Self { domain, toy: Toy::new(1), feed, job }
    }

    /// A receipt of the first day of a station, with evidence that holds.
    fn proven(&self, station: u8, sequence: u64, words: &[i32]) -> Evidence {
        let before = receipt(&self.domain, NODE, station, sequence, Hash32::ZERO, words).receipt;
        let receipt = Receipt { job: self.job.digest(&self.domain), ..before };
        let public_words = row_of(station);
        let context = receipt.context(&self.domain);
        let x = statement(&receipt.model.0, &context.0, &receipt.input.0, &public_words, words);
        let signed = receipt.sign(&self.domain, words, &device(station), &secret(NODE));
        Evidence {
            receipt: signed.expect("keys and output fit"),
            job: self.job.clone(),
            feed_proof: self.feed.proof(usize::from(station) - 21).expect("a row"),
            proof: self.toy.prove(&x, sequence),
            public_words,
        }
    }
}

pub async fn tell(chain: &Chain, gas: &mut Gas) {
    let s = &*chain.deploy(&signer(GOVERNOR), &params(9)).await.expect("deploys");
    let work = Work::new(s.deployment().domain());
    verifiers(s, &work, gas).await;
    deliver(s, &work, gas).await;
    challenge(s, &work, gas).await;
    strike(s, &work, gas).await;
    roll(s, gas).await;
    end(s, gas).await;
}

async fn verifiers(s: &dyn Settlement, work: &Work, gas: &mut Gas) {
    let by = signer(GOVERNOR);
    let key = VerifierKey(Box::new(work.toy.key()));
    let verifier = s.deploy_verifier(&by, &key).await.expect("deploys");
    assert_eq!(s.deploy_verifier(&signer(STRANGER), &key).await.expect("finds"), verifier);
    let mut broken = key.clone();
    broken.0[31] ^= 1; // alpha is off the curve
    s.deploy_verifier(&by, &broken).await.expect_err("the constructor refuses it");
    refused(s.set_verifier(&signer(STRANGER), 1, verifier).await, "NotGovernor");
    sent(gas, "set_verifier", s.set_verifier(&by, 1, verifier).await);
    already(s.set_verifier(&by, 1, verifier).await);
    assert_eq!(s.verifier_of_key(key.hash()).await.expect("reads"), Some(verifier));
    let both = Roles { maker: true, publisher: true };
    s.set_roles(&by, who(GOVERNOR), both).await.expect("sets");
    s.register_model(&by, model(), keccak(b"program"), 1).await.expect("registers");
    assert_eq!(s.verifier_of(model()).await.expect("reads"), Some(verifier));
    // A class that has models gets its verifier after the delay only.
    let other = keccak(b"another model");
    s.register_model(&by, other, keccak(b"program"), 2).await.expect("registers");
    assert_eq!(s.verifier_of(other).await.expect("reads"), None);
    refused(s.set_verifier(&by, 2, verifier).await, "ClassInUse");
    sent(gas, "propose_verifier", s.propose_verifier(&by, 2, verifier).await);
    refused(s.accept_verifier(&signer(STRANGER), 2).await, "TooEarly");
    for station in [21, 22, 23] {
        s.enrol_device(&by, device(station).device(), who(NODE), 5).await.expect("enrols");
    }
    for n in [POSTER, BUYER, INSURER, CHALLENGER] {
        s.mint(&by, who(n), usd(1_000)).await.expect("mints");
    }
}

async fn deliver(s: &dyn Settlement, work: &Work, gas: &mut Gas) {
    let job = work.job.digest(&work.domain);
    let terms = CoverTerms {
        beneficiary: who(FARMER_2),
        cell: 5,
        start: START,
        day_count: 30,
        quorum: 2,
        payout: usd(50),
        model: model(),
        stations: [21, 22, 23].map(|n| device(n).device()),
        jobs: [job; 3],
    };
    let id = s.cover_id(who(INSURER), &terms, Hash32::ZERO);
    s.cover_open(&signer(INSURER), &terms, Hash32::ZERO).await.expect("opens");
    let (by, cover) = (signer(STRANGER), s.deployment().cover);
    let first = work.proven(21, 0, &[0, 1]);
    // The mined time is that of genesis or a little later; the day is over a day later.
    refused(s.deliver_with_proof(&by, cover, id, &first, None).await, "WindowNotOver");
    s.pass_time(DAY).await.expect("time passes");
    s.accept_verifier(&by, 2).await.expect("its delay is over");

    let with = |change: fn(&mut Evidence)| {
        let mut lie = first.clone();
        change(&mut lie);
        lie
    };
    let lies: [(Evidence, &str); 6] = [
        (with(|e| e.proof[255] ^= 1), "PointRejected"),
        (with(|e| e.proof.truncate(255)), "BadLength"),
        (with(|e| e.public_words[0] += 1), "WrongFeed"),
        (with(|e| e.job.max_units += 1), "WrongJobId"),
        (with(|e| e.receipt.node_signature = secret(STRANGER).sign(&Hash32([1; 32]))), "NotSignedByNode"),
        (Evidence { proof: work.proven(22, 1, &[0, 1]).proof, ..first.clone() }, "ProofRejected"),
    ];
    for (lie, name) in lies {
        refused(s.deliver_with_proof(&by, cover, id, &lie, None).await, name);
    }
    refused(s.deliver_with_proof(&by, cover, id, &first, Some(&[7; 128])).await, "WrongDeviceKey");
    refused(s.deliver_with_proof(&by, cover, id, &work.proven(21, 0, &[1, 1]), None).await, "WrongClass");
    refused(s.deliver_with_proof(&by, cover, id, &work.proven(21, 0, &[0, 0]), None).await, "NotTriggered");

    let (a, b) = (&first.receipt, work.proven(21, 0, &[0, 0]).receipt.receipt);
    let slash = s.slash_device_equivocation(&by, (a, &[7; 128]), (&b, &[7; 128])).await;
    refused(slash, "WrongDeviceKey");

    sent(gas, "deliver_with_proof", s.deliver_with_proof(&by, cover, id, &first, None).await);
    already(s.deliver_with_proof(&by, cover, id, &first, None).await);
    assert_eq!(s.balance_of(who(FARMER_2)).await.expect("reads"), Usd::ZERO);
    let second = work.proven(22, 1, &[0, 1]);
    let before = s.balance_of(who(STRANGER)).await.expect("reads");
    sent(gas, "deliver_with_proof_pays", s.deliver_with_proof(&by, cover, id, &second, None).await);
    assert_eq!(s.balance_of(who(FARMER_2)).await.expect("reads"), usd(50), "no poster, no epoch");
    assert_eq!(s.balance_of(who(STRANGER)).await.expect("reads"), before, "who sends it gets nothing");
    assert_eq!(s.latest_epoch().await.expect("reads"), 0);
}

async fn challenge(s: &dyn Settlement, work: &Work, gas: &mut Gas) {
    let by = signer(CHALLENGER);
    s.bond_poster(&signer(POSTER), usd(100)).await.expect("bonds");
    s.deposit(&signer(BUYER), usd(500)).await.expect("deposits");
    let honest = work.proven(21, 0, &[0, 1]);
    // The planted one: the poster says that station 23 had frost, and has no proof of it.
    let planted = Evidence { proof: honest.proof.clone(), ..work.proven(23, 2, &[0, 1]) };
    let receipts = [&honest, &planted].map(|e| e.receipt.receipt.clone());
    let digests = receipts.each_ref().map(|r| r.digest(&work.domain));
    let closed = close(1, &[(who(NODE), usd(2))], &digests);
    s.post_epoch(&signer(POSTER), &closed.epoch).await.expect("posts");
    let path = |i: usize| closed.receipts.proof(i).expect("a leaf");

    sent(gas, "challenge", s.challenge(&by, 1, &receipts[0], &path(0)).await);
    already(s.challenge(&by, 1, &receipts[0], &path(0)).await);
    refused(
        s.answer(&signer(POSTER), 1, &Evidence { proof: vec![0; 256], ..honest.clone() }).await,
        "ProofRejected",
    );
    sent(gas, "challenge_lost", s.answer(&signer(POSTER), 1, &honest).await);
    already(s.answer(&signer(POSTER), 1, &honest).await);
    assert_eq!(s.balance_of(who(CHALLENGER)).await.expect("reads"), usd(990));
    assert_eq!(s.balance_of(who(POSTER)).await.expect("reads"), usd(910));

    s.challenge(&by, 1, &receipts[1], &path(1)).await.expect("opens");
    refused(s.answer(&signer(POSTER), 1, &planted).await, "ProofRejected");
    refused(s.resolve(&by, 1, digests[1]).await, "TooEarly");
    s.pass_time(1_300).await.expect("time passes");
    refused(s.answer(&signer(POSTER), 1, &planted).await, "TooLate");
    sent(gas, "challenge_won", s.resolve(&signer(STRANGER), 1, digests[1]).await);
    already(s.resolve(&signer(STRANGER), 1, digests[1]).await);
    assert_eq!(s.epoch(1).await.expect("reads"), None, "struck");
    assert_eq!(s.poster_bond().await.expect("reads"), Usd::ZERO);
    assert_eq!(s.balance_of(who(CHALLENGER)).await.expect("reads"), usd(1_040), "half of the bond");

    // A veto while a challenge is open: the challenger gets its bond back.
    s.bond_poster(&signer(POSTER), usd(100)).await.expect("bonds");
    s.post_epoch(&signer(POSTER), &closed.epoch).await.expect("posts");
    let posting = s.epoch(1).await.expect("reads").expect("is there").posting;
    s.challenge(&by, 1, &receipts[1], &path(1)).await.expect("opens");
    refused(s.refund_challenge(&by, posting, digests[1]).await, "StillStanding");
    s.veto(&signer(AUDITOR), 1).await.expect("strikes");
    sent(gas, "refund_challenge", s.refund_challenge(&by, posting, digests[1]).await);
    already(s.refund_challenge(&by, posting, digests[1]).await);
    assert_eq!(s.balance_of(who(CHALLENGER)).await.expect("reads"), usd(1_040));
}

async fn strike(s: &dyn Settlement, work: &Work, gas: &mut Gas) {
    let honest = work.proven(21, 0, &[0, 1]).receipt.receipt;
    let mut balances = [(who(NODE), usd(30)), (who(BUYER), usd(5))];
    balances.sort_unstable();
    let closed = close(1, &balances, &[honest.digest(&work.domain)]);
    let leaf = |closed: &Closed, i: usize| BalanceLeaf {
        account: balances[i].0,
        cumulative: balances[i].1,
        proof: closed.balances.proof(i).expect("a leaf"),
    };
    let settled = SettledReceipt { epoch: 1, receipt: honest, proof: Vec::new() };
    s.post_epoch(&signer(POSTER), &closed.epoch).await.expect("posts");
    let by = signer(STRANGER);
    let leaves = vec![leaf(&closed, 0), leaf(&closed, 1)];
    let (job, one) = (Box::new(work.job.clone()), Box::new(settled.clone()));
    // An honest epoch: none of the charges holds.
    let charges = [
        (Breach::BalanceFell { was: leaves[0].clone(), now: leaves[0].clone() }, "BadProof"),
        (Breach::BelowClaimed(leaves[0].clone()), "NoBreach"),
        (Breach::AccountTwice(leaves[0].clone(), leaves[1].clone()), "NoBreach"),
        (Breach::SumAboveTotal(leaves.clone()), "NoBreach"),
        (Breach::PaidTwice(one.clone(), one.clone()), "NoBreach"),
        (Breach::AboveCap(job.clone(), vec![settled.clone()]), "NoBreach"),
        (Breach::AgainstJob(job, one), "NoBreach"),
    ];
    for (charge, name) in charges {
        refused(s.strike(&by, 1, &charge).await, name);
    }
    s.veto(&signer(AUDITOR), 1).await.expect("strikes");
    let mut lie = close(1, &balances, &[]);
    lie.epoch.total = usd(34);
    s.post_epoch(&signer(POSTER), &lie.epoch).await.expect("the contract cannot know");
    let before = s.balance_of(who(STRANGER)).await.expect("reads");
    let leaves = vec![leaf(&lie, 0), leaf(&lie, 1)];
    sent(gas, "strike", s.strike(&by, 1, &Breach::SumAboveTotal(leaves)).await);
    assert_eq!(s.epoch(1).await.expect("reads"), None, "struck");
    let after = s.balance_of(who(STRANGER)).await.expect("reads");
    assert_eq!(after.checked_sub(before), Some(usd(50)));
}

async fn roll(s: &dyn Settlement, gas: &mut Gas) {
    let by = signer(GOVERNOR);
    let keys = [31, 32, 33, 34].map(|n| device(n).device());
    let leaf =
        |key: &Device| keccak(&Words::new().hash(&Hash32(key.0)).address(&who(NODE).0).uint(5).keccak().0);
    let leaves = keys.each_ref().map(leaf);
    let pairs = [keccak_pair(&leaves[0], &leaves[1]), keccak_pair(&leaves[2], &leaves[3])];
    let subtree = keccak_pair(&pairs[0], &pairs[1]);
    refused(s.append_devices(&signer(STRANGER), 0, subtree, 2).await, "NotMaker");
    sent(gas, "append_devices", s.append_devices(&by, 0, subtree, 2).await);
    already(s.append_devices(&by, 0, subtree, 2).await);
    let mut proof = [Hash32::ZERO; ROLL_DEPTH];
    for level in 1..ROLL_DEPTH {
        proof[level] = keccak_pair(&proof[level - 1], &proof[level - 1]); // empty places
    }
    (proof[0], proof[1]) = (leaves[3], pairs[0]);
    let place = RollPlace { maker: 1, index: 2, proof };
    assert_eq!(s.roll(1).await.expect("reads").count, 4);
    assert!(s.is_on_roll(keys[2], who(NODE), 5, &place).await.expect("reads"));
    assert!(!s.is_on_roll(keys[1], who(NODE), 5, &place).await.expect("reads"));
    refused(s.unpack_device(&signer(STRANGER), keys[2], who(STRANGER), 5, &place).await, "NotOnRoll");
    sent(gas, "unpack_device", s.unpack_device(&signer(STRANGER), keys[2], who(NODE), 5, &place).await);
    already(s.unpack_device(&signer(STRANGER), keys[2], who(NODE), 5, &place).await);
    assert_eq!(s.device(keys[2]).await.expect("reads").expect("is there").owner, who(NODE));
}

async fn end(s: &dyn Settlement, gas: &mut Gas) {
    let next = Address([0x5e; 20]);
    refused(s.name_successor(&signer(POSTER), next).await, "NotGovernor");
    refused(s.retire(&signer(STRANGER)).await, "NoSuccessor");
    sent(gas, "name_successor", s.name_successor(&signer(GOVERNOR), next).await);
    already(s.name_successor(&signer(GOVERNOR), next).await);
    refused(s.retire(&signer(STRANGER)).await, "TooEarly");
    s.pass_time(30 * DAY).await.expect("time passes");
    sent(gas, "retire", s.retire(&signer(STRANGER)).await);
    already(s.retire(&signer(STRANGER)).await);
    assert_eq!(s.exit_amount(who(BUYER)).await.expect("reads"), usd(500), "no epoch stands");
    s.exit(&signer(STRANGER), who(BUYER)).await.expect("pays");
    assert_eq!(s.balance_of(who(BUYER)).await.expect("reads"), usd(1_000));
}
