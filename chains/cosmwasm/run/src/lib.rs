//! The committed contracts in the machine that CosmWasm chains run, with its gas: static checks, compilation, one fresh instance a call.
//!
//! Gas of a call, in units of the Cosmos SDK: `machine`, what the WebAssembly and the host functions cost (140,000 of the machine's own units
//! each, as wasmd counts since 2.0), and `storage`, what the SDK charges for the reads and writes (its default prices). Not counted: what
//! wasmd charges for starting an instance and for the message's bytes, and what the transaction costs. A refused call leaves
//! the storage as it was, as on a chain.

use cosmwasm_std::{Addr, Coin, ContractResult, Empty, Env, MessageInfo, Response, Timestamp};
use cosmwasm_vm::testing::{MockApi, MockQuerier, mock_env};
use cosmwasm_vm::{
    Backend, BackendResult, Cache, CacheOptions, GasInfo, Instance, InstanceOptions, Size, Storage,
    call_execute, call_instantiate, call_query, capabilities_from_csv,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The machine's units in one unit of SDK gas (wasmd, `DefaultGasMultiplier`).
const MACHINE_UNITS: u64 = 140_000;
/// Far above any call here: what a call costs is asked, not bounded.
const GAS_LIMIT: u64 = 1 << 50;
/// Memory of an instance, as wasmd sets it.
const MEMORY: Size = Size::mebi(32);

/// A contract's storage, with the prices of the Cosmos SDK (`store/types/gas.go`, `KVGasConfig`).
#[derive(Clone, Debug, Default)]
pub struct Store(BTreeMap<Vec<u8>, Vec<u8>>);

fn sdk(flat: u64, per_byte: u64, bytes: usize) -> GasInfo {
    GasInfo::with_externally_used((flat + per_byte * bytes as u64) * MACHINE_UNITS)
}

impl Storage for Store {
    fn get(&self, key: &[u8]) -> BackendResult<Option<Vec<u8>>> {
        let value = self.0.get(key).cloned();
        let bytes = key.len() + value.as_ref().map_or(0, Vec::len);
        (Ok(value), sdk(1_000, 3, bytes))
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> BackendResult<()> {
        self.0.insert(key.to_vec(), value.to_vec());
        (Ok(()), sdk(2_000, 30, key.len() + value.len()))
    }

    fn remove(&mut self, key: &[u8]) -> BackendResult<()> {
        self.0.remove(key);
        (Ok(()), sdk(1_000, 0, 0))
    }
}

/// What a call cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gas {
    /// WebAssembly and host functions, SDK gas, rounded up.
    pub machine: u64,
    /// Reads and writes, SDK gas.
    pub storage: u64,
    /// Memory of the instance afterwards, KiB.
    pub memory_kib: usize,
}

/// What a call did.
#[derive(Debug)]
pub struct Done {
    /// What the contract answered, or the text of its refusal.
    pub answer: Result<Response<Empty>, String>,
    /// What it cost.
    pub gas: Gas,
}

impl Done {
    /// The response.
    ///
    /// Panics: when the call was refused, with the refusal.
    pub fn response(self) -> Response<Empty> {
        self.answer.unwrap_or_else(|refusal| panic!("refused: {refusal}"))
    }

    /// The stable name of the refusal: what stands before the first `": "`.
    ///
    /// Panics: when the call was not refused.
    pub fn refusal(self) -> String {
        let text = self.answer.expect_err("a refusal");
        text.split(": ").next().unwrap_or_default().to_owned()
    }
}

/// One contract on a chain of its own.
pub struct Contract {
    cache: Cache<MockApi, Store, MockQuerier>,
    checksum: cosmwasm_std::Checksum,
    store: Store,
    env: Env,
    folder: PathBuf,
}

impl Drop for Contract {
    fn drop(&mut self) {
        // A folder that stays is no reason to fail.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The bytes of a committed contract.
///
/// Panics: when there is none of that name.
pub fn artifact(name: &str) -> Vec<u8> {
    let path = format!("{}/../artifacts/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl Contract {
    /// Stores a committed contract, which the machine checks and compiles.
    ///
    /// Panics: when the machine does not take it.
    pub fn new(name: &str) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("cosmwasm-{}-{number}", std::process::id()));
        let capabilities = capabilities_from_csv(
            "iterator,staking,cosmwasm_1_1,cosmwasm_1_2,cosmwasm_1_3,cosmwasm_1_4,cosmwasm_2_0",
        );
        let options = CacheOptions::new(&folder, capabilities, Size::mebi(64), MEMORY);
        #[expect(unsafe_code, reason = "the folder was made above, and only this process writes there")]
        let cache = unsafe { Cache::new(options) }.expect("a cache");
        let checksum =
            cache.store_code(&artifact(name), true, true).expect("a contract that the machine takes");
        let mut env = mock_env();
        env.block.chain_id = "proofmesh-1".to_owned();
        env.block.time = Timestamp::from_seconds(1_800_000_000);
        Contract { cache, checksum, store: Store::default(), env, folder }
    }

    /// Now, Unix.
    pub fn now_s(&self) -> u64 {
        self.env.block.time.seconds()
    }

    /// The contract's own address.
    pub fn address(&self) -> &Addr {
        &self.env.contract.address
    }

    /// An address of the chain, by a name.
    pub fn who(name: &str) -> Addr {
        Addr::unchecked(MockApi::default().addr_make(name))
    }

    /// Lets time go by.
    pub fn wait(&mut self, seconds: u64) {
        self.env.block.time = self.env.block.time.plus_seconds(seconds);
    }

    /// Sets it up.
    pub fn instantiate(&mut self, message: &impl Serialize) -> Done {
        let message = serde_json::to_vec(message).expect("a message");
        let info = MessageInfo { sender: Self::who("deployer"), funds: Vec::new() };
        self.call(|instance, env| call_instantiate(instance, env, &info, &message))
    }

    /// One verb, sent by `sender` with coins.
    pub fn execute(&mut self, sender: &Addr, funds: &[Coin], message: &impl Serialize) -> Done {
        self.execute_bytes(sender, funds, &serde_json::to_vec(message).expect("a message"))
    }

    /// One verb as bytes, whatever they are.
    pub fn execute_bytes(&mut self, sender: &Addr, funds: &[Coin], message: &[u8]) -> Done {
        let info = MessageInfo { sender: sender.clone(), funds: funds.to_vec() };
        self.call(|instance, env| call_execute(instance, env, &info, message))
    }

    /// One question.
    ///
    /// # Errors
    /// The text of the refusal.
    pub fn query<T: DeserializeOwned>(&mut self, message: &impl Serialize) -> Result<T, String> {
        let message = serde_json::to_vec(message).expect("a message");
        let mut instance = self.instance();
        let answer = call_query(&mut instance, &self.env, &message).map_err(|error| error.to_string())?;
        match answer {
            ContractResult::Ok(bytes) => Ok(serde_json::from_slice(&bytes).expect("the answer's type")),
            ContractResult::Err(text) => Err(text),
        }
    }

    fn instance(&self) -> Instance<MockApi, Store, MockQuerier> {
        let backend =
            Backend { api: MockApi::default(), storage: self.store.clone(), querier: MockQuerier::new(&[]) };
        let options = InstanceOptions { gas_limit: GAS_LIMIT };
        self.cache.get_instance(&self.checksum, backend, options).expect("an instance")
    }

    fn call(
        &mut self,
        run: impl FnOnce(
            &mut Instance<MockApi, Store, MockQuerier>,
            &Env,
        ) -> cosmwasm_vm::VmResult<ContractResult<Response<Empty>>>,
    ) -> Done {
        let mut instance = self.instance();
        let answer = match run(&mut instance, &self.env) {
            Ok(ContractResult::Ok(response)) => Ok(response),
            Ok(ContractResult::Err(text)) => Err(text),
            Err(error) => Err(format!("stopped: {error}")),
        };
        let report = instance.create_gas_report();
        let gas = Gas {
            machine: report.used_internally.div_ceil(MACHINE_UNITS),
            storage: report.used_externally / MACHINE_UNITS,
            memory_kib: instance.memory_pages() * 64,
        };
        if answer.is_ok() {
            self.store = instance.recycle().expect("a backend").storage;
        }
        Done { answer, gas }
    }
}

/// Holds a table of gas against the committed one; `BLESS=1` writes it.
///
/// Panics: when it differs.
pub fn hold_gas(name: &str, rows: &BTreeMap<&str, Gas>) {
    let path = format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"));
    let text = serde_json::to_string_pretty(rows).expect("JSON") + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).expect("writes");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{path} differs: if meant, run with BLESS=1 and commit\n{text}");
}
