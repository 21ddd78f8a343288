//! Rules by which an embedded chain executes: those of a row of the table of chains.
//!
//! Prices that the contracts do not meet (BLAKE2F, BLS12-381, modular exponentiation, blobs) are Ethereum's, whatever
//! the row's chain takes for them.

use revm::context::{Cfg, CfgEnv, ContextTr};
use revm::context_interface::cfg::{GasId, GasParams};
use revm::handler::{EthPrecompiles, PrecompileProvider, precompile_output_to_interpreter_result};
use revm::interpreter::{CallInputs, InterpreterResult};
use revm::precompile::{EthPrecompileOutput, PrecompileHalt, PrecompileOutput, bn254, secp256r1};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, AddressSet, B256, Bytes};

use crate::{ChainProfile, Fork, GasPolicy, Prices};

/// Base fee of a chain with fees, wei. It does not move: a block holds one transaction.
const BASE_FEE: u64 = 1_000_000_000;
/// A refund for clearing a slot gives back what an access list would have paid for it (EIP-3529).
const ACCESS_LIST_KEY: u64 = 1_900;
/// Writing to a slot that is not zero (EIP-2200).
const SSTORE_RESET: u64 = 5_000;
/// Reading a slot again (EIP-2929).
const WARM_READ: u64 = 100;

/// Rules of one chain.
pub(super) struct Rules {
    pub(super) chain_id: u64,
    pub(super) base_fee: u64,
    /// Gas of a block.
    pub(super) block_gas: u64,
    /// Gas of a transaction, and of a call.
    pub(super) transaction_gas: u64,
    spec: SpecId,
    gas: GasParams,
    prices: Prices,
}

impl Rules {
    pub(super) fn of(row: &ChainProfile, chain_id: u64) -> Self {
        let spec = match row.fork {
            Fork::Prague => SpecId::PRAGUE,
            Fork::Osaka => SpecId::OSAKA,
        };
        let base_fee = if row.gas == GasPolicy::Free { 0 } else { BASE_FEE };
        let (block_gas, transaction_gas) = (row.block_gas, row.transaction_gas());
        let gas = gas_params(spec, &row.prices);
        Self { chain_id, base_fee, block_gas, transaction_gas, spec, gas, prices: row.prices }
    }

    pub(super) fn cfg(&self) -> CfgEnv {
        let mut cfg = CfgEnv::new_with_spec_and_gas_params(self.spec, self.gas.clone());
        cfg.chain_id = self.chain_id;
        cfg
    }

    pub(super) fn precompiles(&self) -> Priced {
        let ethereum = EthPrecompiles::new(self.spec);
        let p256 = revm::precompile::u64_to_address(secp256r1::P256VERIFY_ADDRESS);
        let mut addresses = ethereum.warm_addresses().clone();
        match self.prices.p256 {
            Some(_) => addresses.insert(p256),
            None => addresses.remove(&p256),
        };
        Priced { ethereum, prices: self.prices, p256, addresses }
    }
}

fn gas_params(spec: SpecId, p: &Prices) -> GasParams {
    let mut gas = GasParams::new_spec(spec);
    let reset = SSTORE_RESET - p.cold_sstore;
    gas.override_gas([
        (GasId::cold_storage_additional_cost(), p.cold_sload - WARM_READ),
        (GasId::cold_storage_cost(), p.cold_sstore),
        (GasId::sstore_reset_without_cold_load_cost(), reset - WARM_READ),
        (GasId::sstore_reset_refund(), reset - WARM_READ),
        (GasId::sstore_clearing_slot_refund(), reset + ACCESS_LIST_KEY),
        (GasId::tx_base_stipend(), p.transaction),
        (GasId::tx_token_cost(), p.calldata[0]),
        (GasId::tx_token_non_zero_byte_multiplier(), p.calldata[1] / p.calldata[0]),
        (GasId::tx_floor_cost_per_token(), p.calldata_floor),
        (GasId::tx_floor_cost_base_gas(), p.transaction),
    ]);
    gas
}

/// Ethereum's precompiles, those of BN254 and P-256 at a chain's own prices.
pub(super) struct Priced {
    ethereum: EthPrecompiles,
    prices: Prices,
    p256: Address,
    addresses: AddressSet,
}

impl Priced {
    /// Runs a precompile whose price the row has; `None` for every other address.
    fn priced(
        &self,
        at: &Address,
        input: &[u8],
        gas: u64,
    ) -> Option<Result<EthPrecompileOutput, PrecompileHalt>> {
        let p = &self.prices;
        if *at == bn254::add::ADDRESS {
            Some(bn254::run_add(input, p.bn254_add, gas))
        } else if *at == bn254::mul::ADDRESS {
            Some(bn254::run_mul(input, p.bn254_mul, gas))
        } else if *at == bn254::pair::ADDRESS {
            Some(bn254::run_pair(input, p.bn254_pairing[1], p.bn254_pairing[0], gas))
        } else if *at == self.p256 {
            p.p256.map(|price| {
                if price > gas {
                    return Err(PrecompileHalt::OutOfGas);
                }
                let good = secp256r1::verify_impl(input);
                let out = if good { B256::with_last_byte(1).into() } else { Bytes::new() };
                Ok(EthPrecompileOutput::new(price, out))
            })
        } else {
            None
        }
    }
}

impl<CTX: ContextTr<Cfg: Cfg<Spec = SpecId>>> PrecompileProvider<CTX> for Priced {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        <EthPrecompiles as PrecompileProvider<CTX>>::set_spec(&mut self.ethereum, spec)
    }

    fn run(&mut self, context: &mut CTX, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        if !self.addresses.contains(&inputs.bytecode_address) {
            return Ok(None);
        }
        let done = self.priced(&inputs.bytecode_address, &inputs.input.as_bytes(context), inputs.gas_limit);
        match done {
            None => self.ethereum.run(context, inputs),
            Some(done) => {
                let output = PrecompileOutput::from_eth_result(done, inputs.reservoir);
                Ok(Some(precompile_output_to_interpreter_result(output, inputs.gas_limit)))
            }
        }
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.addresses
    }
}
