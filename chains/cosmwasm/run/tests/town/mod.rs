//! A market on a chain: a settlement that is set up, a node with its device, a job with a feed, receipts and wrapped proofs of the small circuit.
#![allow(dead_code, reason = "each suite uses its own part")]

use cosmwasm_std::{Addr, Binary, Coin, coin};
use proofmesh_cosmwasm_run::{Contract, Done};
use proofmesh_cosmwasm_settlement::msg::{Evidence, Execute, Instantiate, Query};
use proofmesh_cosmwasm_settlement::state::Config;
use proofmesh_market::order::{Order, Signed};
use proofmesh_market::receipt::output_hash;
use proofmesh_market::statement::public_input;
use proofmesh_market::tree::{Tree, balance_leaf, receipt_leaf};
use proofmesh_market::{
    AccountSecret, Address, Assurance, DeviceSecret, Domain, Epoch, Hash32, Job, Payee, Receipt,
    SignedReceipt, Usd, keccak,
};
use proofmesh_services::inference::{SERVICE, Terms};
use proofmesh_services::reference::{ReferenceTable, Row, packed};
use std::collections::BTreeMap;

#[path = "../../../../../crates/settle/tests/toy/mod.rs"]
pub mod toy;
use toy::Toy;

pub const DENOM: &str = "uusd";
pub const WINDOW_S: u64 = 3_600;
pub const RESPONSE_S: u64 = 600;
pub const POSTER_BOND: u64 = 1_000_000;
pub const CHALLENGE_BOND: u64 = 50_000;
/// The model with a key.
pub const MODEL: Hash32 = Hash32([0x4d; 32]);
/// Classes are asked for by the job: this one.
pub const CLASS: i32 = 1;
const DAY_S: u64 = 86_400;
const WINDOW_START: u64 = 1_799_971_200 - 30 * DAY_S;

/// The market.
pub struct Town {
    pub contract: Contract,
    pub domain: Domain,
    pub toy: Toy,
    pub node: AccountSecret,
    pub device: DeviceSecret,
    pub job: Job,
    pub feed: ReferenceTable,
}

pub fn usd(micro: u64) -> Usd {
    Usd::from_micro(micro)
}

pub fn funds(micro: u64) -> Vec<Coin> {
    vec![coin(micro.into(), DENOM)]
}

pub fn who(name: &str) -> Addr {
    Contract::who(name)
}

pub fn account(byte: u8) -> AccountSecret {
    AccountSecret::from_bytes([byte; 32]).expect("a small number")
}

/// A window's row, as the feed has it.
fn row(window: u64) -> Vec<u8> {
    packed(Row { words: &words(window), word_bytes: 1 }).expect("words of a byte")
}

/// The words of a window's feed.
fn words(window: u64) -> Vec<i32> {
    (0..72).map(|i| (i * 37 + window as i32) % 256 - 128).collect()
}

pub fn set_up() -> Instantiate {
    Instantiate {
        denom: DENOM.to_owned(),
        governor: who("governor").to_string(),
        poster: who("poster").to_string(),
        auditor: Some(who("auditor").to_string()),
        challenge_window_s: WINDOW_S,
        response_s: RESPONSE_S,
        poster_bond: usd(POSTER_BOND),
        challenge_bond: usd(CHALLENGE_BOND),
    }
}

impl Town {
    /// Set up, no money yet.
    pub fn bare() -> Self {
        let mut contract = Contract::new("settlement");
        contract.instantiate(&set_up()).response();
        let config: Config = contract.query(&Query::Config {}).expect("a config");
        let (node, device) = (account(7), DeviceSecret::from_bytes([9; 32]));
        let starts = (0..3).map(|n| WINDOW_START + n * DAY_S);
        let rows = starts.map(|start| ((device.device(), start), words(start / DAY_S))).collect();
        let feed = ReferenceTable::new(1, rows).expect("words of a byte");
        let terms = Terms {
            class: Some(1),
            window_s: DAY_S,
            phase_s: WINDOW_START % DAY_S,
            feed: Some(feed.commitment()),
            ..Terms::default()
        };
        let job = Job {
            buyer: account(8).address(),
            salt: Hash32([1; 32]),
            service: SERVICE.id(),
            model: MODEL,
            input: Hash32::ZERO,
            unit_price: usd(1_000),
            max_units: 3,
            window_from_s: WINDOW_START,
            window_until_s: WINDOW_START + 3 * DAY_S,
            deadline_s: WINDOW_START + 30 * DAY_S,
            assurance: Assurance::Proof,
            slots: 1,
            cell: 0,
            devices: vec![device.device()],
            terms: terms.encode(),
        };
        Town { contract, domain: config.domain, toy: Toy::new(1), node, device, job, feed }
    }

    /// With deposits of 10 USD, the poster's bond, the model's key, and a payee of the node.
    pub fn new() -> Self {
        let mut town = Self::bare();
        let buyer = town.job.buyer;
        town.send("anybody", &funds(10_000_000), &Execute::Deposit { account: buyer }).response();
        town.send("poster", &funds(POSTER_BOND), &Execute::BondPoster {}).response();
        let key = Binary::from(town.toy.key());
        town.send("governor", &[], &Execute::RegisterModel { model: MODEL, key }).response();
        let named = town.name_payee(&town.node.clone(), "purse", 1);
        town.send("anybody", &[], &named).response();
        town.contract.wait(10);
        town
    }

    pub fn send(&mut self, sender: &str, funds: &[Coin], message: &Execute) -> Done {
        self.contract.execute(&who(sender), funds, message)
    }

    /// The account's signed order to be paid at a name's address.
    pub fn name_payee(&self, secret: &AccountSecret, name: &str, nonce: u64) -> Execute {
        let payee = cosmwasm_std::testing::MockApi::default().with_prefix("cosmwasm");
        let canonical = cosmwasm_std::Api::addr_canonicalize(&payee, who(name).as_str()).expect("an address");
        let order = Payee { account: secret.address(), payee: canonical.to_vec(), nonce };
        let Signed { order, signature } = Signed::new(order, &self.domain, secret).expect("its own");
        Execute::NamePayee { order, signature }
    }

    /// The fields of the receipt of window `n`.
    pub fn receipt(&self, n: u64) -> Receipt {
        Receipt {
            job: self.job.digest(&self.domain),
            sequence: n,
            node: self.node.address(),
            device: self.device.device(),
            service: self.job.service,
            model: self.job.model,
            input: Hash32([0x11; 32]),
            output: output_hash(&[CLASS]),
            units: 1,
            window_start: WINDOW_START + n * DAY_S,
            window_end: WINDOW_START + (n + 1) * DAY_S,
            evidence: keccak(b"the proof before it was wrapped"),
            previous: Hash32::ZERO,
        }
    }

    pub fn sign(&self, receipt: Receipt) -> SignedReceipt {
        receipt.sign(&self.domain, &[CLASS], &self.device, &self.node).expect("its own keys")
    }

    /// The evidence of a receipt.
    pub fn evidence(&self, receipt: &Receipt) -> Evidence {
        let public_words = Binary::from(row(receipt.window_start / DAY_S));
        let context = receipt.context(&self.domain);
        let statement = public_input(&receipt.model, &context, &receipt.input, &public_words, &[CLASS]);
        let feed_proof = self.feed.proof(&receipt.device, receipt.window_start).expect("a row");
        Evidence {
            job: self.job.clone(),
            public_words,
            feed_proof,
            proof: Binary::from(self.toy.prove(&statement, receipt.sequence)),
        }
    }

    pub fn deliver(&self, receipt: &SignedReceipt, evidence: &Evidence) -> Execute {
        let (receipt, evidence) = (receipt.clone(), evidence.clone());
        Execute::Deliver { consumer: who("cover").to_string(), id: Hash32([5; 32]), receipt, evidence }
    }

    /// Posts an epoch; gives the trees.
    pub fn post(&mut self, number: u64, balances: &[(Address, u64)], receipts: &[Receipt]) -> (Done, Books) {
        let total = balances.iter().map(|(_, micro)| micro).sum();
        let balances = balances.iter().map(|(account, micro)| balance_leaf(account, usd(*micro))).collect();
        let receipts = receipts.iter().map(|receipt| receipt_leaf(&receipt.digest(&self.domain))).collect();
        let books = Books { balances: Tree::new(balances), receipts: Tree::new(receipts) };
        let epoch = Epoch {
            number,
            balances_root: books.balances.root(),
            receipts_root: books.receipts.root(),
            log_hash: Hash32([number as u8; 32]),
            total: usd(total),
        };
        (self.send("poster", &[], &Execute::PostEpoch { epoch }), books)
    }

    pub fn claim(&mut self, account: Address, micro: u64, proof: Vec<Hash32>) -> Done {
        self.send("anybody", &[], &Execute::Claim { account, cumulative: usd(micro), proof })
    }
}

/// The trees of an epoch.
pub struct Books {
    pub balances: Tree,
    pub receipts: Tree,
}

/// Coins that a response sends or burns, by receiver.
pub fn paid(done: Done) -> BTreeMap<String, u64> {
    use cosmwasm_std::{BankMsg, CosmosMsg};
    let mut out = BTreeMap::new();
    for message in done.response().messages {
        let (to, coins) = match message.msg {
            CosmosMsg::Bank(BankMsg::Send { to_address, amount }) => (to_address, amount),
            CosmosMsg::Bank(BankMsg::Burn { amount }) => ("burned".to_owned(), amount),
            other => panic!("no payment: {other:?}"),
        };
        let [coin] = &coins[..] else { panic!("one coin: {coins:?}") };
        assert_eq!(coin.denom, DENOM);
        out.insert(to, coin.amount.to_string().parse().expect("a small number"));
    }
    out
}
