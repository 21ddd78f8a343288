//! The rows. A figure is written here once; docs/chains.md is generated from it and from running the contracts by
//! it.

use super::{ChainProfile, DataFee, Fork, GasPolicy, Prices, ProofGas, Source};

/// Chain id of the embedded chain.
pub const EMBEDDED_CHAIN_ID: u64 = 7_066_001;

const GWEI: u128 = 1_000_000_000;

const fn known(what: &'static str, from: &'static str) -> Source {
    Source { what, from, assumed: false }
}

const fn assumed(what: &'static str, from: &'static str) -> Source {
    Source { what, from, assumed: true }
}

const ETHEREUM: Prices = Prices { p256: Some(6_900), ..Prices::ETHEREUM };

const POLYGON: Prices = Prices {
    bn254_add: 540,
    bn254_mul: 12_600,
    bn254_pairing: [67_500, 51_000],
    cold_sload: 5_460,
    cold_sstore: 2_940,
    ..ETHEREUM
};

const IOTEX: Prices =
    Prices { p256: None, transaction: 10_000, calldata: [100, 100], calldata_floor: 0, ..Prices::ETHEREUM };

const NITRO: Prices = Prices { calldata_floor: 0, ..ETHEREUM };

/// What a development chain has in common with others.
const DEVELOPMENT: ChainProfile = ChainProfile {
    name: "embedded",
    chain_id: EMBEDDED_CHAIN_ID,
    test_ids: &[],
    about: "an EVM in this process, one transaction a block",
    fork: Fork::Prague,
    prices: Prices::ETHEREUM,
    proofs: ProofGas::twice(&Prices::ETHEREUM, Some(800_000)),
    gas: GasPolicy::Free,
    data_fee: DataFee::None,
    max_fee: 0,
    block_gas: 60_000_000,
    confirmations: 1,
    reorg_depth: 0,
    block_ms: 0,
    poll_ms: 2,
    wait_ms: 20_000,
    development: true,
    sources: &[known("all", "crates/settle/src/embedded")],
    notes: &["its headers carry no roots: nothing can be proved from them to others"],
};

/// Known chains. The last row fits any chain that has no row of its own.
pub const PROFILES: &[ChainProfile] = &[
    DEVELOPMENT,
    ChainProfile {
        name: "anvil",
        chain_id: 31_337,
        about: "Foundry's development node, started with --hardfork prague",
        gas: GasPolicy::Market,
        max_fee: 10_000 * GWEI,
        block_gas: 30_000_000,
        poll_ms: 20,
        sources: &[known("all", "npm @foundry-rs/anvil 1.7.1, its defaults")],
        notes: &[],
        ..DEVELOPMENT
    },
    ChainProfile {
        name: "ethereum",
        chain_id: 1,
        test_ids: &[11_155_111, 560_048],
        about: "Ethereum; Sepolia, Hoodi",
        fork: Fork::Osaka,
        prices: ETHEREUM,
        proofs: ProofGas::twice(&ETHEREUM, Some(800_000)),
        gas: GasPolicy::Market,
        data_fee: DataFee::None,
        max_fee: 300 * GWEI,
        block_gas: 60_000_000,
        confirmations: 32,
        reorg_depth: 64,
        block_ms: 12_000,
        poll_ms: 4_000,
        wait_ms: 900_000,
        development: false,
        sources: &[
            known("prices", "EIP-1108, 2929, 3529, 7623 (all final)"),
            known("P-256", "EIP-7951 (final), Osaka, 2025-12-03"),
            known("block gas", "EIP-7935 (final, 2025): 60 M by default; validators move it"),
            known("transaction gas", "EIP-7825 (final), Osaka"),
            known("reorg depth", "two epochs of 32 slots to finality (consensus specification)"),
            assumed("most per gas", "our choice"),
        ],
        notes: &["the next fork (Glamsterdam) is to price new slots and code several times higher"],
    },
    ChainProfile {
        name: "polygon",
        chain_id: 137,
        test_ids: &[80_002],
        about: "Polygon PoS; Amoy",
        fork: Fork::Osaka,
        prices: POLYGON,
        proofs: ProofGas::twice(&POLYGON, Some(1_200_000)),
        gas: GasPolicy::Market,
        data_fee: DataFee::None,
        max_fee: 5_000 * GWEI,
        block_gas: 45_000_000,
        confirmations: 16,
        reorg_depth: 16,
        block_ms: 2_000,
        poll_ms: 2_000,
        wait_ms: 180_000,
        development: false,
        sources: &[
            known("prices", "PIP-88 (final), Chicago, block 87,218,600, 2026-05-21"),
            known("P-256", "PIP-27, PIP-80 (final), Lisovo, 2026"),
            assumed("fork", "bor follows Osaka's execution rules and takes no blob transactions"),
            assumed("block gas", "voted upwards over 2026; 45 M is a lower bound"),
            assumed("reorg depth", "milestones (PIP-11, final) settle within some 16 blocks"),
            assumed("most per gas", "our choice"),
        ],
        notes: &[
            "cold reads cost 2.6 times Ethereum's: BLAKE2F and BLS12-381 are dearer too, our contracts use neither",
        ],
    },
    ChainProfile {
        name: "iotex",
        chain_id: 4_689,
        test_ids: &[4_690],
        about: "IoTeX, a chain for devices; its testnet",
        fork: Fork::Prague,
        prices: IOTEX,
        proofs: ProofGas::twice(&IOTEX, Some(1_000_000)),
        gas: GasPolicy::Legacy,
        data_fee: DataFee::None,
        max_fee: 20_000 * GWEI,
        block_gas: 25_000_000,
        confirmations: 2,
        reorg_depth: 0,
        block_ms: 2_500,
        poll_ms: 2_500,
        wait_ms: 120_000,
        development: false,
        sources: &[
            known(
                "transaction, calldata",
                "iotex-core, action/execution.go: 10,000 and 100 a byte; no floor",
            ),
            known("P-256", "iotex-core of 2026-08-20 has no such precompile and none of Osaka's opcodes"),
            known("finality", "docs.iotex.io, IoTeX L1: a block is final in 2.5 s"),
            assumed("BN254, storage", "as in Ethereum: its EVM is go-ethereum's"),
            assumed("fees", "type 0 transactions are taken by every version; EIP-1559 since 2025 only"),
            assumed("block gas", "25 to 30 M with 2.5 s blocks; 50 M (IIP-24) was for 5 s"),
            assumed("most per gas", "our choice; 1,000 gwei is usual"),
        ],
        notes: &[
            "no P-256: Delivery refuses a device's P-256 signature (MissingPrecompile); enrol the device to its node instead",
            "ioID takes secp256k1 keys alone (ioIDRegistry recovers the device's signature): give a P-256 device a second key and bind the two in our Registry",
            "ioIDRegistry 0x04e4655Cf258EC802D17c23ec6112Ef7d97Fa2aF, by its repository's README: check before use",
        ],
    },
    ChainProfile {
        name: "polkadot-hub",
        chain_id: 420_420_419,
        test_ids: &[420_420_417, 420_420_418],
        about: "Polkadot Hub's EVM (pallet revive, REVM back end); Paseo, Kusama Hub",
        fork: Fork::Prague,
        prices: Prices { p256: Some(6_900), ..Prices::ETHEREUM },
        // Gas there is a projection of three other measures: nothing is fixed, caps only bound a burnt transaction.
        proofs: ProofGas { caps: [1_000_000, 10_000_000, 300_000_000], limit: None },
        gas: GasPolicy::Market,
        data_fee: DataFee::None,
        max_fee: 100_000 * GWEI,
        block_gas: 60_000_000,
        confirmations: 6,
        reorg_depth: 6,
        block_ms: 6_000,
        poll_ms: 3_000,
        wait_ms: 180_000,
        development: false,
        sources: &[
            known("chain ids, gas model", "docs.polkadot.com, smart contracts, 2026-06-29"),
            known("BN254", "docs.polkadot.com, Ethereum-native precompiles, 2026-06-29"),
            known(
                "P-256",
                "polkadot-sdk pull request 10267, merged 2025-11-10; whether the live runtime has it: probe",
            ),
            assumed(
                "prices",
                "Ethereum's, for the run below: the chain's own come from weights and storage deposits",
            ),
            assumed(
                "block gas, finality",
                "nothing in gas terms is published; 6 s blocks, final some blocks later",
            ),
            assumed("most per gas", "our choice"),
        ],
        notes: &[
            "gas projects ref_time, proof_size and storage_deposit: every limit is estimated there, and the figures below say only that the contracts run",
            "a new slot locks a deposit in DOT, given back when it is cleared",
            "the same artifacts run: REVM takes them as they are; PolkaVM (resolc) is not used",
        ],
    },
    ChainProfile {
        name: "xrpl-evm",
        chain_id: 1_440_000,
        test_ids: &[1_449_000],
        about: "XRPL EVM, a Cosmos SDK chain with cosmos/evm; its testnet",
        fork: Fork::Prague,
        prices: Prices { p256: None, ..Prices::ETHEREUM },
        proofs: ProofGas::twice(&Prices::ETHEREUM, Some(800_000)),
        gas: GasPolicy::Market,
        data_fee: DataFee::None,
        max_fee: 5_000 * GWEI,
        block_gas: 30_000_000,
        confirmations: 1,
        reorg_depth: 0,
        block_ms: 4_000,
        poll_ms: 2_000,
        wait_ms: 120_000,
        development: false,
        sources: &[
            known(
                "finality",
                "docs.cosmos.network, EVM: a committed block is final, no reorganisations (2026)",
            ),
            known(
                "P-256",
                "docs.cosmos.network, x/vm: only if the chain lists 0x100 in active_static_precompiles",
            ),
            assumed("P-256 here", "not listed; probe"),
            assumed("chain ids, block time", "4 s; chain ids as its wallets list them"),
            assumed("prices, block gas", "go-ethereum's of Prague; the chain may set others"),
            assumed("most per gas", "our choice"),
        ],
        notes: &[
            "unused gas may be refunded in part only (the fee market's MinGasMultiplier, one half by default): limits are not free",
        ],
    },
    ChainProfile {
        name: "base",
        chain_id: 8_453,
        test_ids: &[84_532],
        about: "Base, an OP-stack rollup on Ethereum; Base Sepolia",
        fork: Fork::Osaka,
        prices: ETHEREUM,
        proofs: ProofGas::twice(&ETHEREUM, Some(800_000)),
        gas: GasPolicy::Market,
        data_fee: DataFee::FromBalance,
        max_fee: 50 * GWEI,
        block_gas: 60_000_000,
        confirmations: 10,
        reorg_depth: 10,
        block_ms: 2_000,
        poll_ms: 2_000,
        wait_ms: 120_000,
        development: false,
        sources: &[
            known("P-256", "docs.base.org, precompiles: 6,900 since Azul (2026), 3,450 before"),
            known("transaction gas", "docs.base.org, Azul, execution engine: EIP-7825"),
            known("least base fee", "docs.base.org, Jovian, 2025-12-02; mainnet set to 200,000 wei"),
            assumed("block gas", "moved often, always far above 60 M"),
            assumed(
                "reorg depth",
                "unsafe blocks of one sequencer; what must not be undone waits for the tag `safe`",
            ),
            assumed("most per gas", "our choice"),
        ],
        notes: &[
            "the data fee goes by the compressed bytes of the signed transaction and Ethereum's blob price, beside gas: keep a balance for it",
        ],
    },
    ChainProfile {
        name: "apechain",
        chain_id: 33_139,
        test_ids: &[33_111],
        about: "ApeChain, an L3: Arbitrum Nitro with AnyTrust on Arbitrum One; Curtis",
        fork: Fork::Prague,
        prices: NITRO,
        proofs: ProofGas::twice(&NITRO, None),
        gas: GasPolicy::Market,
        data_fee: DataFee::AsGas,
        max_fee: 1_000 * GWEI,
        block_gas: 32_000_000,
        confirmations: 20,
        reorg_depth: 20,
        block_ms: 250,
        poll_ms: 1_000,
        wait_ms: 120_000,
        development: false,
        sources: &[
            known(
                "chain ids, parent",
                "alchemy.com and hyperlane registry 23.10 (2026): Nitro, AnyTrust, settles on Arbitrum One",
            ),
            known("P-256", "docs.arbitrum.io, ArbOS 51 (2026-01-08): EIP-7951"),
            known("data fee", "docs.arbitrum.io, NodeInterface: the parent's part is gas of the transaction"),
            assumed("ArbOS version here", "a chain's owner upgrades it: P-256 may still cost 3,450; probe"),
            assumed("calldata floor", "ArbOS leaves EIP-7623 out by default"),
            assumed("block gas", "32 M is ArbOS's default; eth_getBlock shows 2^50, which means nothing"),
            assumed("reorg depth", "blocks of one sequencer"),
            assumed("most per gas", "our choice"),
        ],
        notes: &[
            "a transaction's limit must hold the parent's part too, so every limit is estimated; the figures below are execution alone",
        ],
    },
    ChainProfile {
        name: "evm",
        chain_id: 0,
        test_ids: &[],
        about: "any other chain: the dearest prices we know, the most patience",
        fork: Fork::Prague,
        prices: Prices { p256: None, ..POLYGON },
        proofs: ProofGas::twice(&POLYGON, Some(1_200_000)),
        gas: GasPolicy::Market,
        data_fee: DataFee::None,
        max_fee: 1_000 * GWEI,
        block_gas: 15_000_000,
        confirmations: 12,
        reorg_depth: 12,
        block_ms: 4_000,
        poll_ms: 4_000,
        wait_ms: 300_000,
        development: false,
        sources: &[assumed("all", "nothing is known of it: probe, then write a row")],
        notes: &[],
    },
];
