//! The embedded chain on disk: accounts, storage, code, headers, transactions and receipts in one redb
//! file.
//!
//! A block is one write transaction. After a crash, whenever it comes, the file holds exactly the blocks
//! whose commit returned (or the one
//! just being committed, whole). There is no other state to lose.

use std::path::Path;

use alloy::consensus::Header;
use alloy::primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use alloy::rlp::Decodable;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::database_interface::DBErrorMarker;
use revm::state::{AccountInfo, EvmState};

use crate::{Result, SettleError};

/// Address -> nonce (8) || balance (32) || code hash (32), big-endian.
const ACCOUNTS: TableDefinition<[u8; 20], [u8; 72]> = TableDefinition::new("accounts");
/// Address || slot -> value; no zero values.
const STORAGE: TableDefinition<[u8; 52], [u8; 32]> = TableDefinition::new("storage");
const CODE: TableDefinition<[u8; 32], &[u8]> = TableDefinition::new("code");
/// Number -> RLP header.
const HEADERS: TableDefinition<u64, &[u8]> = TableDefinition::new("headers");
const NUMBERS: TableDefinition<[u8; 32], u64> = TableDefinition::new("numbers");
/// Block number -> hash of its transaction, if it has one.
const BLOCK_TX: TableDefinition<u64, [u8; 32]> = TableDefinition::new("block_tx");
/// Transaction hash -> signed bytes, and -> receipt as JSON-RPC gives it.
const TRANSACTIONS: TableDefinition<[u8; 32], &[u8]> = TableDefinition::new("transactions");
const RECEIPTS: TableDefinition<[u8; 32], &[u8]> = TableDefinition::new("receipts");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// Version of these tables.
const FORMAT: u64 = 1;

/// A failure of the file or of what is in it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct StoreError(String);

impl DBErrorMarker for StoreError {}

impl From<StoreError> for SettleError {
    fn from(e: StoreError) -> Self {
        Self::Store(e.0)
    }
}

type Stored<T> = std::result::Result<T, StoreError>;

fn fault(e: impl std::fmt::Display) -> StoreError {
    StoreError(e.to_string())
}

/// What a new block adds.
pub(crate) struct NewBlock {
    pub(crate) header: Header,
    pub(crate) state: EvmState,
    pub(crate) transaction: Option<NewTransaction>,
}

/// The block's transaction.
pub(crate) struct NewTransaction {
    pub(crate) hash: B256,
    pub(crate) raw: Vec<u8>,
    pub(crate) receipt: Vec<u8>,
}

/// What the chain starts with.
pub(crate) struct Genesis {
    pub(crate) chain_id: u64,
    pub(crate) timestamp: u64,
    /// Contracts that are there from the start.
    pub(crate) code: Vec<(Address, Bytes)>,
    /// Accounts with money to pay fees with.
    pub(crate) rich: Vec<Address>,
}

pub(crate) struct Store(Database);

impl Store {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self(Database::create(path).map_err(|e| fault(format!("{}: {e}", path.display())))?))
    }

    pub(crate) fn in_memory() -> Result<Self> {
        let backend = InMemoryBackend::new();
        Ok(Self(Database::builder().create_with_backend(backend).map_err(fault)?))
    }

    /// Writes the genesis block if the file is new; else checks that the chain is the same.
    pub(crate) fn begin(&self, genesis: &Genesis, header: &Header) -> Result<()> {
        let w = self.0.begin_write().map_err(fault)?;
        let known = {
            let meta = w.open_table(META).map_err(fault)?;
            let get = |key| meta.get(key).map(|v| v.map(|v| v.value())).map_err(fault);
            (get("format")?, get("chain_id")?)
        };
        match known {
            (None, None) => {
                let mut meta = w.open_table(META).map_err(fault)?;
                meta.insert("format", FORMAT).map_err(fault)?;
                meta.insert("chain_id", genesis.chain_id).map_err(fault)?;
                meta.insert("time_offset", 0).map_err(fault)?;
                for (address, code) in &genesis.code {
                    let code = Bytecode::new_legacy(code.clone());
                    let hash = code.hash_slow();
                    let info = AccountInfo::new(U256::ZERO, 1, hash, code.clone());
                    put_code(&w, hash, &code)?;
                    put_account(&w, *address, &info)?;
                }
                for address in &genesis.rich {
                    put_account(&w, *address, &AccountInfo::from_balance(U256::from(1u128 << 96)))?;
                }
            }
            (Some(FORMAT), Some(id)) if id == genesis.chain_id => return Ok(()),
            (Some(FORMAT), Some(id)) => {
                let why = format!("the store holds chain {id}, not {}", genesis.chain_id);
                return Err(SettleError::WrongChain(why));
            }
            other => {
                return Err(SettleError::Store(format!("unknown store format: {other:?}")));
            }
        }
        // Opened once, so that a reader always finds every table.
        w.open_table(STORAGE).map_err(fault)?;
        w.open_table(CODE).map_err(fault)?;
        w.open_table(BLOCK_TX).map_err(fault)?;
        w.open_table(TRANSACTIONS).map_err(fault)?;
        w.open_table(RECEIPTS).map_err(fault)?;
        put_header(&w, header)?;
        Ok(w.commit().map_err(fault)?)
    }

    /// Adds a block: all of it or nothing.
    pub(crate) fn append(&self, block: &NewBlock) -> Stored<()> {
        let w = self.0.begin_write().map_err(fault)?;
        for (address, account) in &block.state {
            if !account.is_touched() {
                continue;
            }
            if account.is_selfdestructed() {
                clear_storage(&w, *address)?;
                w.open_table(ACCOUNTS).map_err(fault)?.remove(address.into_array()).map_err(fault)?;
                continue;
            }
            if let Some(code) = &account.info.code
                && account.is_created()
            {
                put_code(&w, account.info.code_hash, code)?;
            }
            put_account(&w, *address, &account.info)?;
            let mut storage = w.open_table(STORAGE).map_err(fault)?;
            for (slot, value) in account.changed_storage_slots() {
                let key = slot_key(*address, *slot);
                let value = value.present_value();
                if value.is_zero() {
                    storage.remove(key).map_err(fault)?;
                } else {
                    storage.insert(key, value.to_be_bytes::<32>()).map_err(fault)?;
                }
            }
        }
        put_header(&w, &block.header)?;
        if let Some(tx) = &block.transaction {
            let number = block.header.number;
            w.open_table(BLOCK_TX).map_err(fault)?.insert(number, tx.hash.0).map_err(fault)?;
            let mut raws = w.open_table(TRANSACTIONS).map_err(fault)?;
            raws.insert(tx.hash.0, tx.raw.as_slice()).map_err(fault)?;
            let mut receipts = w.open_table(RECEIPTS).map_err(fault)?;
            receipts.insert(tx.hash.0, tx.receipt.as_slice()).map_err(fault)?;
        }
        w.commit().map_err(fault)
    }

    /// Sets the seconds that the chain's time is ahead of its clock.
    pub(crate) fn set_time_offset(&self, seconds: u64) -> Stored<()> {
        let w = self.0.begin_write().map_err(fault)?;
        w.open_table(META).map_err(fault)?.insert("time_offset", seconds).map_err(fault)?;
        w.commit().map_err(fault)
    }

    /// The state as of the newest block, unchanged by blocks that follow.
    pub(crate) fn snapshot(&self) -> Stored<Snapshot> {
        Ok(Snapshot(self.0.begin_read().map_err(fault)?))
    }
}

fn slot_key(address: Address, slot: U256) -> [u8; 52] {
    let mut key = [0; 52];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&slot.to_be_bytes::<32>());
    key
}

fn put_account(w: &redb::WriteTransaction, address: Address, info: &AccountInfo) -> Stored<()> {
    let mut accounts = w.open_table(ACCOUNTS).map_err(fault)?;
    if info.is_empty() {
        // An account of nothing is no account (EIP-161).
        accounts.remove(address.into_array()).map_err(fault)?;
        return Ok(());
    }
    let mut row = [0; 72];
    row[..8].copy_from_slice(&info.nonce.to_be_bytes());
    row[8..40].copy_from_slice(&info.balance.to_be_bytes::<32>());
    row[40..].copy_from_slice(info.code_hash.as_slice());
    accounts.insert(address.into_array(), row).map_err(fault)?;
    Ok(())
}

fn put_code(w: &redb::WriteTransaction, hash: B256, code: &Bytecode) -> Stored<()> {
    let bytes = code.original_bytes();
    w.open_table(CODE).map_err(fault)?.insert(hash.0, bytes.as_ref()).map_err(fault)?;
    Ok(())
}

fn clear_storage(w: &redb::WriteTransaction, address: Address) -> Stored<()> {
    let mut storage = w.open_table(STORAGE).map_err(fault)?;
    let range = slot_key(address, U256::ZERO)..=slot_key(address, U256::MAX);
    storage.retain_in(range, |_, _| false).map_err(fault)
}

fn put_header(w: &redb::WriteTransaction, header: &Header) -> Stored<()> {
    let bytes = alloy::rlp::encode(header);
    w.open_table(HEADERS).map_err(fault)?.insert(header.number, bytes.as_slice()).map_err(fault)?;
    let hash = header.hash_slow();
    w.open_table(NUMBERS).map_err(fault)?.insert(hash.0, header.number).map_err(fault)?;
    Ok(())
}

/// A consistent view of the file.
pub(crate) struct Snapshot(ReadTransaction);

impl Snapshot {
    fn table<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        definition: TableDefinition<K, V>,
    ) -> Stored<redb::ReadOnlyTable<K, V>> {
        self.0.open_table(definition).map_err(|e: TableError| fault(e))
    }

    /// Header of the newest block.
    pub(crate) fn head(&self) -> Stored<Header> {
        let headers = self.table(HEADERS)?;
        let (_, bytes) = headers.last().map_err(fault)?.ok_or_else(|| fault("no genesis block"))?;
        Header::decode(&mut bytes.value()).map_err(fault)
    }

    pub(crate) fn header(&self, number: u64) -> Stored<Option<Header>> {
        match self.table(HEADERS)?.get(number).map_err(fault)? {
            Some(bytes) => Header::decode(&mut bytes.value()).map(Some).map_err(fault),
            None => Ok(None),
        }
    }

    pub(crate) fn number(&self, hash: B256) -> Stored<Option<u64>> {
        Ok(self.table(NUMBERS)?.get(hash.0).map_err(fault)?.map(|v| v.value()))
    }

    pub(crate) fn block_tx(&self, number: u64) -> Stored<Option<B256>> {
        Ok(self.table(BLOCK_TX)?.get(number).map_err(fault)?.map(|v| v.value().into()))
    }

    pub(crate) fn transaction(&self, hash: B256) -> Stored<Option<Vec<u8>>> {
        Ok(self.table(TRANSACTIONS)?.get(hash.0).map_err(fault)?.map(|v| v.value().to_vec()))
    }

    pub(crate) fn receipt(&self, hash: B256) -> Stored<Option<Vec<u8>>> {
        Ok(self.table(RECEIPTS)?.get(hash.0).map_err(fault)?.map(|v| v.value().to_vec()))
    }

    pub(crate) fn time_offset(&self) -> Stored<u64> {
        Ok(self.table(META)?.get("time_offset").map_err(fault)?.map_or(0, |v| v.value()))
    }

    pub(crate) fn code(&self, address: Address) -> Stored<Bytes> {
        match self.basic_ref(address)? {
            Some(info) => Ok(self.code_by_hash_ref(info.code_hash)?.original_bytes()),
            None => Ok(Bytes::new()),
        }
    }
}

impl DatabaseRef for Snapshot {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Stored<Option<AccountInfo>> {
        let Some(row) = self.table(ACCOUNTS)?.get(address.into_array()).map_err(fault)? else {
            return Ok(None);
        };
        let row = row.value();
        let mut nonce = [0; 8];
        nonce.copy_from_slice(&row[..8]);
        Ok(Some(AccountInfo {
            nonce: u64::from_be_bytes(nonce),
            balance: U256::from_be_slice(&row[8..40]),
            code_hash: B256::from_slice(&row[40..]),
            code: None,
            ..AccountInfo::default()
        }))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Stored<Bytecode> {
        if hash == KECCAK256_EMPTY {
            return Ok(Bytecode::default());
        }
        let found = self.table(CODE)?.get(hash.0).map_err(fault)?;
        let bytes = found.ok_or_else(|| fault(format!("no code {hash}")))?;
        Bytecode::new_raw_checked(Bytes::copy_from_slice(bytes.value())).map_err(fault)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Stored<U256> {
        let found = self.table(STORAGE)?.get(slot_key(address, slot)).map_err(fault)?;
        Ok(found.map_or(U256::ZERO, |v| U256::from_be_bytes(v.value())))
    }

    fn block_hash_ref(&self, number: u64) -> Stored<B256> {
        Ok(self.header(number)?.map_or(B256::ZERO, |h| h.hash_slow()))
    }
}
