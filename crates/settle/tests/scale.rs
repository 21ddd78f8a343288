//! One epoch of 1, 1,000 and 1,000,000 receipts (and as many accounts): the transaction is of fixed size, a claim
//! grows with the depth of the tree. Trees are the market's own.

use proofmesh_market::tree::{Tree, balance_leaf, receipt_leaf};
use proofmesh_market::{AccountSecret, Address, Epoch, Hash32, Usd, keccak};
use proofmesh_settle::{Chain, Clock, DeployParams, Signer};

const START: u64 = 1_767_225_600;

/// Receipts and accounts; gas of the epoch's transaction; gas of an account's first claim. Deterministic but for
/// the number of zero bytes in roots.
const MEASURED: [(u32, u64, u64); 3] =
    [(1, 151_466, 96_207), (1_000, 151_478, 103_771), (1_000_000, 151_466, 111_326)];

fn account(i: u32) -> Address {
    let mut bytes = [0x11; 20];
    bytes[..4].copy_from_slice(&i.to_be_bytes());
    Address(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_receipts_settle_in_one_transaction_of_fixed_size() {
    let mut seen = Vec::new();
    for (count, ..) in MEASURED {
        let chain = Chain::open("embedded:", Clock::fixed(START)).await.expect("opens");
        let by = Signer::new(&AccountSecret::from_bytes([1; 32]).expect("small"));
        let s = chain.deploy(&by, &DeployParams::of(by.account())).await.expect("deploys");
        let all = Usd::from_micro(2_000_000_000);
        s.mint(&by, by.account(), Usd::from_micro(3_000_000_000)).await.expect("mints");
        s.deposit(&by, all).await.expect("deposits");
        s.bond_poster(&by, Usd::from_micro(100_000_000)).await.expect("bonds");
        let each = Usd::from_micro(1_000);
        let balances = Tree::new((0..count).map(|i| balance_leaf(&account(i), each)).collect());
        let digest = |i: u32| keccak(&i.to_be_bytes());
        let receipts = Tree::new((0..count).map(|i| receipt_leaf(&digest(i))).collect());
        let epoch = Epoch {
            number: 1,
            balances_root: balances.root(),
            receipts_root: receipts.root(),
            log_hash: Hash32([7; 32]),
            total: Usd::from_micro(1_000 * u64::from(count)),
        };
        let posted = s.post_epoch(&by, &epoch).await.expect("posts").gas();
        s.pass_time(3_600).await.expect("time passes");
        // The first leaf is the deepest: no node above it is carried.
        let proof = balances.proof(0).expect("a leaf");
        let claimed = s.claim(&by, account(0), each, &proof).await.expect("claims").gas();
        assert!(
            s.is_settled_receipt(digest(0), 1, &receipts.proof(0).expect("a leaf")).await.expect("reads")
        );
        assert!(posted <= 500_000, "{posted}");
        seen.push((count, posted, claimed));
    }
    assert_eq!(seen, MEASURED, "gas changed: if meant, write it into MEASURED");
}
