//! One story that every chain must tell the same way: money in, work settled, money out, and the lies
//! refused by name.

use proofmesh_market::receipt::{output_bytes, output_hash};
use proofmesh_market::tree::{Tree, balance_leaf, receipt_leaf};
use proofmesh_market::{
    Address, Device, DeviceSecret, Domain, Epoch, Hash32, Receipt, SignedReceipt, Usd, keccak,
};
use proofmesh_settle::{
    Chain, CoverReport, CoverState, CoverTerms, Cursor, Done, EventKind, Roles, SettleError, Settlement,
};

#[path = "../cast/mod.rs"]
mod cast;
pub use cast::*;

/// Gas of each verb, in the order of the story.
pub type Gas = Vec<(&'static str, u64)>;

pub fn device(n: u8) -> DeviceSecret {
    DeviceSecret::from_bytes([n; 32])
}

// More of the cast.
pub const INSURER: u8 = 5;
pub const FARMER: u8 = 6;
pub const NODE: u8 = 7;
pub const OTHER_NODE: u8 = 8;

pub fn model() -> Hash32 {
    keccak(b"weather-qod")
}

/// A signed receipt of `node` for one whole day of `station`.
pub fn receipt(
    domain: &Domain,
    node: u8,
    station: u8,
    sequence: u64,
    previous: Hash32,
    words: &[i32],
) -> SignedReceipt {
    let receipt = Receipt {
        job: keccak(b"job"),
        sequence,
        node: who(node),
        device: device(station).device(),
        service: keccak(b"proofmesh/inference/v1"),
        model: model(),
        input: keccak(&[station]),
        output: output_hash(words),
        units: 1,
        window_start: START,
        window_end: START + DAY,
        evidence: keccak(b"proof"),
        previous,
    };
    receipt.sign(domain, words, &device(station), &secret(node)).expect("keys and output fit")
}

/// An epoch over balances and receipts, with its trees.
pub struct Closed {
    pub epoch: Epoch,
    pub balances: Tree,
    pub receipts: Tree,
}

pub fn close(number: u64, balances: &[(Address, Usd)], receipts: &[Hash32]) -> Closed {
    let total = balances.iter().map(|(_, c)| c.micro()).sum();
    let balances = Tree::new(balances.iter().map(|(a, c)| balance_leaf(a, *c)).collect());
    let receipts = Tree::new(receipts.iter().map(receipt_leaf).collect());
    let epoch = Epoch {
        number,
        balances_root: balances.root(),
        receipts_root: receipts.root(),
        log_hash: keccak(&number.to_be_bytes()),
        total: Usd::from_micro(total),
    };
    Closed { epoch, balances, receipts }
}

#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T, SettleError>, name: &str) {
    let e = result.expect_err(name);
    assert_eq!(e.revert_name(), Some(name), "{e}");
    assert_eq!(e.code(), "settle.reverted");
}

#[track_caller]
pub fn sent(gas: &mut Gas, case: &'static str, done: Result<Done, SettleError>) {
    let done = done.unwrap_or_else(|e| panic!("{case}: {e}"));
    assert!(matches!(done, Done::Sent(_)), "{case} was there already");
    gas.push((case, done.gas()));
}

#[track_caller]
pub fn already(done: Result<Done, SettleError>) {
    assert_eq!(done.expect("an answer"), Done::Already);
}

/// Tells the story on a fresh chain. Panics where the chain tells it otherwise.
pub async fn tell(chain: &Chain) -> Gas {
    let mut gas = Gas::new();
    let s = chain.deploy(&signer(GOVERNOR), &params(7)).await.expect("deploys");
    let record = s.deployment().clone();
    // Deploying again finds the same contracts; the record survives JSON; a record of other contracts is
    // refused.
    let again = chain.deploy(&signer(STRANGER), &params(7)).await.expect("finds");
    assert_eq!(again.deployment().settlement, record.settlement);
    let json = serde_json::to_string(&record).expect("JSON");
    let s = chain.attach(&serde_json::from_str(&json).expect("back")).await.expect("attaches");
    let mut lie = record.clone();
    lie.params.salt = 8;
    let e = chain.attach(&lie).await.err().expect("other contracts");
    assert_eq!(e.code(), "settle.wrong-chain");

    registry(&*s, &mut gas).await;
    money(&*s, &mut gas).await;
    let closed = settled(&*s, &mut gas).await;
    cover(&*s, &mut gas, &closed).await;
    stake(&*s, &mut gas).await;
    events(&*s).await;
    stopping(&*s, &mut gas).await;
    gas
}

async fn registry(s: &dyn Settlement, gas: &mut Gas) {
    let key = device(21).device();
    refused(
        s.set_roles(&signer(STRANGER), who(STRANGER), Roles { maker: true, publisher: true }).await,
        "NotGovernor",
    );
    refused(s.enrol_device(&signer(GOVERNOR), key, who(NODE), 5).await, "NotMaker");
    refused(s.register_model(&signer(GOVERNOR), model(), keccak(b"program"), 1).await, "NotPublisher");
    let both = Roles { maker: true, publisher: true };
    sent(gas, "set_roles", s.set_roles(&signer(GOVERNOR), who(GOVERNOR), both).await);
    already(s.set_roles(&signer(GOVERNOR), who(GOVERNOR), both).await);
    sent(gas, "enrol_device", s.enrol_device(&signer(GOVERNOR), key, who(NODE), 5).await);
    for station in [22, 23] {
        s.enrol_device(&signer(GOVERNOR), device(station).device(), who(NODE), 5).await.expect("enrols");
    }
    already(s.enrol_device(&signer(GOVERNOR), key, who(NODE), 5).await);
    let e = s.enrol_device(&signer(GOVERNOR), key, who(STRANGER), 5).await.expect_err("another owner");
    assert_eq!(e.code(), "settle.conflict");
    let found = s.device(key).await.expect("reads").expect("is there");
    assert_eq!((found.owner, found.cell, found.maker, found.active), (who(NODE), 5, 1, true));
    assert_eq!(s.device(device(99).device()).await.expect("reads"), None);
    sent(gas, "register_model", s.register_model(&signer(GOVERNOR), model(), keccak(b"program"), 1).await);
    already(s.register_model(&signer(GOVERNOR), model(), keccak(b"program"), 1).await);
    sent(gas, "register_node", s.register_node(&signer(NODE), who(NODE)).await);
    already(s.register_node(&signer(NODE), who(NODE)).await);
    assert!(s.node(who(NODE)).await.expect("reads").expect("is there").active);
    refused(s.retire_node(&signer(STRANGER), who(NODE)).await, "NotAllowed");
    refused(s.transfer_device(&signer(STRANGER), key, who(STRANGER)).await, "NotAllowed");
    refused(s.revoke_device(&signer(STRANGER), key).await, "NotAllowed");
    refused(s.revoke_model(&signer(STRANGER), model()).await, "NotAllowed");
}

async fn money(s: &dyn Settlement, gas: &mut Gas) {
    refused(s.mint(&signer(STRANGER), who(STRANGER), usd(1)).await, "NotOwner");
    sent(gas, "mint", s.mint(&signer(GOVERNOR), who(BUYER), usd(1_000)).await);
    already(s.mint(&signer(GOVERNOR), who(BUYER), usd(1_000)).await);
    for n in [POSTER, INSURER, NODE] {
        s.mint(&signer(GOVERNOR), who(n), usd(1_000)).await.expect("mints");
    }
    sent(gas, "deposit", s.deposit(&signer(BUYER), usd(300)).await);
    already(s.deposit(&signer(BUYER), usd(300)).await);
    sent(gas, "deposit_more", s.deposit(&signer(BUYER), usd(500)).await);
    assert_eq!(s.deposited(who(BUYER)).await.expect("reads"), usd(500));
    assert_eq!(s.total_deposits().await.expect("reads"), usd(500));
    assert_eq!(s.balance_of(who(BUYER)).await.expect("reads"), usd(500));
    refused(s.deposit(&signer(STRANGER), usd(1)).await, "TransferFromFailed");
    refused(s.bond_poster(&signer(BUYER), usd(100)).await, "NotPoster");
    sent(gas, "bond_poster", s.bond_poster(&signer(POSTER), usd(100)).await);
    assert_eq!(s.poster_bond().await.expect("reads"), usd(100));
}

async fn settled(s: &dyn Settlement, gas: &mut Gas) -> (Closed, Vec<SignedReceipt>) {
    let domain = s.deployment().domain();
    let mut receipts: Vec<SignedReceipt> = Vec::new();
    let mut previous = Hash32::ZERO;
    // Three honest frost days, one day without frost, one replayed day.
    for (i, (station, words)) in
        [(21, [0, 1]), (22, [0, 1]), (23, [0, 1]), (21, [0, 0]), (22, [1, 1])].iter().enumerate()
    {
        let r = receipt(&domain, NODE, *station, i as u64, previous, words);
        previous = r.receipt.digest(&domain);
        assert_eq!(
            s.receipt_digest(&r.receipt).await.expect("hashes"),
            previous,
            "contract and market agree"
        );
        receipts.push(r);
    }
    // The first frost day once more, for a job that a stranger posted with a feed of its choice.
    let strange =
        Receipt { job: keccak(b"a stranger's job"), sequence: 5, previous, ..receipts[0].receipt.clone() };
    receipts.push(strange.sign(&domain, &[0, 1], &device(21), &secret(NODE)).expect("keys and output fit"));
    let digests: Vec<_> = receipts.iter().map(|r| r.receipt.digest(&domain)).collect();
    let closed =
        close(1, &[(who(NODE), usd(30)), (who(OTHER_NODE), usd(12)), (who(BUYER), usd(5))], &digests);

    let mut greedy = closed.epoch.clone();
    greedy.total = usd(501);
    refused(s.post_epoch(&signer(POSTER), &greedy).await, "TotalExceedsDeposits");
    let mut second = closed.epoch.clone();
    second.number = 2;
    refused(s.post_epoch(&signer(POSTER), &second).await, "EpochOutOfOrder");
    refused(s.post_epoch(&signer(STRANGER), &closed.epoch).await, "NotPoster");
    sent(gas, "post_epoch", s.post_epoch(&signer(POSTER), &closed.epoch).await);
    already(s.post_epoch(&signer(POSTER), &closed.epoch).await);
    let mut other = closed.epoch.clone();
    other.log_hash = keccak(b"another log");
    let e = s.post_epoch(&signer(POSTER), &other).await.expect_err("another epoch 1");
    assert_eq!(e.code(), "settle.conflict");

    let proof = closed.balances.proof(0).expect("a leaf");
    let posted = s.epoch(1).await.expect("reads").expect("is there");
    assert_eq!((&posted.epoch, posted.is_final), (&closed.epoch, false));
    assert_eq!(s.epoch(2).await.expect("reads"), None);
    assert_eq!((s.latest_epoch().await.expect("reads"), s.final_epoch().await.expect("reads")), (1, 0));
    refused(s.claim(&signer(NODE), who(NODE), usd(30), &proof).await, "NothingFinal");
    let receipt_proof = closed.receipts.proof(0).expect("a leaf");
    assert!(!s.is_settled_receipt(digests[0], 1, &receipt_proof).await.expect("reads"));
    refused(s.challenge(&signer(BUYER), 1, &receipts[0].receipt, &receipt_proof).await, "NoVerifier");
    refused(s.unbond_poster(&signer(POSTER), Usd::ZERO).await, "BondInUse");

    s.pass_time(WINDOW).await.expect("time passes");
    assert!(s.is_final(1).await.expect("reads"));
    assert_eq!(s.final_epoch().await.expect("reads"), 1);
    assert!(s.is_settled_receipt(digests[0], 1, &receipt_proof).await.expect("reads"));
    assert!(!s.is_settled_receipt(digests[1], 1, &receipt_proof).await.expect("reads"));
    refused(s.claim(&signer(NODE), who(NODE), usd(31), &proof).await, "BadProof");
    refused(s.claim(&signer(STRANGER), who(STRANGER), usd(30), &proof).await, "BadProof");
    refused(s.veto(&signer(AUDITOR), 1).await, "EpochNotPending");
    // Anybody may send a claim; the money goes to the account.
    sent(gas, "claim", s.claim(&signer(STRANGER), who(NODE), usd(30), &proof).await);
    already(s.claim(&signer(NODE), who(NODE), usd(30), &proof).await);
    assert_eq!(s.claimed(who(NODE)).await.expect("reads"), usd(30));
    assert_eq!(s.balance_of(who(NODE)).await.expect("reads"), usd(1_030));
    assert_eq!(s.balance_of(who(STRANGER)).await.expect("reads"), Usd::ZERO);
    (closed, receipts)
}

fn report(closed: &Closed, receipts: &[SignedReceipt], i: usize) -> CoverReport {
    CoverReport { receipt: receipts[i].clone(), epoch: 1, proof: closed.receipts.proof(i).expect("a leaf") }
}

async fn cover(s: &dyn Settlement, gas: &mut Gas, (closed, receipts): &(Closed, Vec<SignedReceipt>)) {
    let terms = CoverTerms {
        beneficiary: who(FARMER),
        cell: 5,
        start: START,
        day_count: 30,
        quorum: 2,
        payout: usd(50),
        model: model(),
        stations: [21, 22, 23].map(|n| device(n).device()),
        jobs: [keccak(b"job"); 3],
    };
    let elsewhere = CoverTerms { cell: 6, ..terms.clone() };
    refused(s.cover_open(&signer(INSURER), &elsewhere, Hash32::ZERO).await, "StationElsewhere");
    let none = CoverTerms { quorum: 0, ..terms.clone() };
    refused(s.cover_open(&signer(INSURER), &none, Hash32::ZERO).await, "BadTerms");
    let any = CoverTerms { jobs: [keccak(b"job"), Hash32::ZERO, keccak(b"job")], ..terms.clone() };
    refused(s.cover_open(&signer(INSURER), &any, Hash32::ZERO).await, "BadTerms");
    let id = s.cover_id(who(INSURER), &terms, Hash32::ZERO);
    sent(gas, "cover_open", s.cover_open(&signer(INSURER), &terms, Hash32::ZERO).await);
    already(s.cover_open(&signer(INSURER), &terms, Hash32::ZERO).await);
    let found = s.cover(id).await.expect("reads").expect("the contract has the id that we computed");
    assert_eq!((found.insurer, found.payout, found.state), (who(INSURER), usd(50), CoverState::Open));
    let [first, second, _] = terms.stations;
    assert_eq!(s.cover_station(id, first, terms.jobs[0], model()).await.expect("reads"), Some(0));
    assert_eq!(s.cover_station(id, second, terms.jobs[1], model()).await.expect("reads"), Some(1));
    assert_eq!(s.cover_station(id, first, keccak(b"another"), model()).await.expect("reads"), None);
    assert_eq!(s.cover_station(id, device(1).device(), terms.jobs[0], model()).await.expect("reads"), None);

    let by = signer(STRANGER);
    refused(s.cover_report(&by, id, &report(closed, receipts, 5)).await, "WrongWork");
    refused(s.cover_report(&by, id, &report(closed, receipts, 3)).await, "NotTriggered");
    refused(s.cover_report(&by, id, &report(closed, receipts, 4)).await, "NotGenuine");
    let mut lie = report(closed, receipts, 0);
    lie.proof = closed.receipts.proof(1).expect("a leaf");
    refused(s.cover_report(&by, id, &lie).await, "NotSettled");
    let mut lie = report(closed, receipts, 0);
    lie.receipt.receipt.model = keccak(b"another model");
    refused(s.cover_report(&by, id, &lie).await, "WrongWork");
    let mut lie = report(closed, receipts, 0);
    lie.receipt.receipt.output = output_hash(&[0, 2]);
    refused(s.cover_report(&by, id, &lie).await, "OutputMismatch");
    assert_eq!(output_bytes(&[0, 1]).len(), 8);
    let mut lie = report(closed, receipts, 0);
    lie.receipt.receipt.device = Device([0xee; 32]);
    refused(s.cover_report(&by, id, &lie).await, "NotAStation");

    sent(gas, "cover_report", s.cover_report(&by, id, &report(closed, receipts, 0)).await);
    already(s.cover_report(&by, id, &report(closed, receipts, 0)).await);
    // That the day is counted does not make a stranger's job one of the cover's.
    refused(s.cover_report(&by, id, &report(closed, receipts, 5)).await, "WrongWork");
    assert_eq!(s.cover_day(id, 0).await.expect("reads"), [true, false, false]);
    assert_eq!(s.balance_of(who(FARMER)).await.expect("reads"), Usd::ZERO);
    sent(gas, "cover_report_pays", s.cover_report(&by, id, &report(closed, receipts, 1)).await);
    assert_eq!(s.balance_of(who(FARMER)).await.expect("reads"), usd(50));
    assert_eq!(s.cover(id).await.expect("reads").expect("is there").state, CoverState::Paid);
    already(s.cover_report(&by, id, &report(closed, receipts, 1)).await);
    refused(s.cover_report(&by, id, &report(closed, receipts, 2)).await, "PolicyNotOpen");
    refused(s.cover_reclaim(&signer(INSURER), id).await, "PolicyNotOpen");

    let late = CoverTerms { start: START + DAY, day_count: 1, ..terms };
    let id = s.cover_id(who(INSURER), &late, Hash32::ZERO);
    s.cover_open(&signer(INSURER), &late, Hash32::ZERO).await.expect("opens");
    refused(s.cover_report(&by, id, &report(closed, receipts, 0)).await, "NotADay");
    refused(s.cover_reclaim(&signer(INSURER), id).await, "TooEarly");
}

async fn stake(s: &dyn Settlement, gas: &mut Gas) {
    let domain = s.deployment().domain();
    let a = receipt(&domain, NODE, 21, 0, Hash32::ZERO, &[0, 1]);
    let b = receipt(&domain, NODE, 21, 0, Hash32::ZERO, &[0, 0]);
    let next = receipt(&domain, NODE, 21, 1, a.receipt.digest(&domain), &[0, 0]);
    let mut forged = b.clone();
    forged.node_signature = secret(STRANGER).sign(&b.receipt.digest(&domain));
    refused(s.slash_equivocation(&signer(STRANGER), &a, &b).await, "NothingAtStake");
    sent(gas, "bond_node", s.bond_node(&signer(NODE), who(NODE), usd(200)).await);
    already(s.bond_node(&signer(NODE), who(NODE), usd(200)).await);
    refused(s.slash_equivocation(&signer(STRANGER), &a, &a).await, "SameReceipt");
    refused(s.slash_equivocation(&signer(STRANGER), &a, &next).await, "NoConflict");
    refused(s.slash_equivocation(&signer(STRANGER), &a, &forged).await, "BadSignature");
    sent(gas, "unbond_node", s.unbond_node(&signer(NODE), usd(150)).await);
    refused(s.withdraw_bond(&signer(NODE)).await, "TooEarly");
    // What is on its way out is still at stake.
    sent(gas, "slash_equivocation", s.slash_equivocation(&signer(STRANGER), &a, &b).await);
    assert_eq!(s.bond(who(NODE)).await.expect("reads"), Default::default());
    assert_eq!(s.balance_of(who(STRANGER)).await.expect("reads"), usd(60));
}

async fn events(s: &dyn Settlement) {
    let mut all = Vec::new();
    let mut cursor = Cursor::default();
    loop {
        let page = s.events_since(&cursor, 1_000).await.expect("reads");
        if page.next == cursor {
            break;
        }
        all.extend(page.events);
        cursor = page.next;
    }
    let count = |f: fn(&EventKind) -> bool| all.iter().filter(|e| f(&e.kind)).count();
    assert_eq!(count(|e| matches!(e, EventKind::Deposited { .. })), 2);
    assert_eq!(count(|e| matches!(e, EventKind::CoverPaid { .. })), 1);
    assert_eq!(count(|e| matches!(e, EventKind::DeviceEnrolled { .. })), 3);
    assert_eq!(count(|e| matches!(e, EventKind::NodeSlashed { .. })), 1);

    // Small pages give the same events, each once, in order.
    let mut small = Vec::new();
    let mut at = Cursor::default();
    loop {
        let page = s.events_since(&at, 2).await.expect("reads");
        assert!(page.events.len() <= 2);
        if page.next == at {
            break;
        }
        small.extend(page.events);
        at = page.next;
    }
    assert_eq!(small, all);
    let gone = Cursor { block_hash: Hash32([1; 32]), ..cursor };
    assert_eq!(s.events_since(&gone, 10).await.expect_err("another chain").code(), "settle.reorg");
}

/// Veto, then the poster's silence and the forced exit.
async fn stopping(s: &dyn Settlement, gas: &mut Gas) {
    let bad = close(2, &[(who(POSTER), usd(500))], &[]);
    s.post_epoch(&signer(POSTER), &bad.epoch).await.expect("the contract cannot know");
    refused(s.veto(&signer(STRANGER), 2).await, "NotAuditor");
    sent(gas, "veto", s.veto(&signer(AUDITOR), 2).await);
    already(s.veto(&signer(AUDITOR), 2).await);
    s.deposit(&signer(BUYER), usd(600)).await.expect("deposits");
    refused(s.open_exit(&signer(BUYER)).await, "TooEarly");
    refused(s.exit(&signer(BUYER), who(BUYER)).await, "ExitNotOpen");
    s.pass_time(31 * DAY).await.expect("time passes");
    sent(gas, "open_exit", s.open_exit(&signer(STRANGER)).await);
    already(s.open_exit(&signer(STRANGER)).await);
    refused(s.post_epoch(&signer(POSTER), &close(2, &[(who(NODE), usd(47))], &[]).epoch).await, "ExitIsOpen");
    refused(s.deposit(&signer(BUYER), usd(601)).await, "ExitIsOpen");
    // 100 deposited since the last posting come back whole; of the older 500, what no final root owes: 500
    // - 47.
    assert_eq!(s.exit_amount(who(BUYER)).await.expect("reads"), usd(553));
    let before = s.balance_of(who(BUYER)).await.expect("reads");
    sent(gas, "exit", s.exit(&signer(STRANGER), who(BUYER)).await);
    already(s.exit(&signer(BUYER), who(BUYER)).await);
    let after = s.balance_of(who(BUYER)).await.expect("reads");
    assert_eq!(after.checked_sub(before), Some(usd(553)));
    refused(s.exit(&signer(STRANGER), who(STRANGER)).await, "ZeroValue");
    sent(gas, "withdraw_after_exit", s.unbond_poster(&signer(POSTER), Usd::ZERO).await);
}
