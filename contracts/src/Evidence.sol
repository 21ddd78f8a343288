// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IProofVerifier} from "./interfaces/IProofVerifier.sol";
import {Jobs} from "./Jobs.sol";
import {Receipts} from "./Receipts.sol";
import {Registry} from "./Registry.sol";
import {Statements} from "./Statements.sol";

/// @title What shows that a receipt of the inference service deserves its pay, checked by a contract alone.
/// @notice The receipt names job, model, input and output by hashes; the evidence opens them, and the wrapped proof shows that this model on this
/// private input and on the words that the job's own feed names gives this output, for this node, device, place in the node's chain, and chain.
library Evidence {
    /// @param job the job that receipt.job is the id of
    /// @param terms the service's terms, whose hash is in the job: 51 bytes of docs/spec/market.md
    /// @param publicWords public input of the window as the feed has it (docs/spec/market.md, "Feed"); none if the terms name no feed
    /// @param feedProof siblings from the window's row to the feed's root
    /// @param output output words, 4 bytes each, keccak256 of which is receipt.output
    /// @param signature the node's, of the receipt's digest, r || s || v
    /// @param proof of the verifier of the receipt's model
    struct Bundle {
        Jobs.Job job;
        bytes terms;
        bytes publicWords;
        bytes32[] feedProof;
        bytes output;
        bytes signature;
        bytes proof;
    }

    /// @dev The service whose terms are read here.
    bytes32 internal constant INFERENCE = keccak256("proofmesh/inference/v1");
    uint256 private constant TERMS_BYTES = 51;
    uint8 private constant FLAG_CLASS = 1;
    uint8 private constant FLAG_FEED = 2;

    error WrongService(bytes32 service);
    error WrongJobId(bytes32 expected, bytes32 got);
    error UnlawfulReceipt();
    error WrongTerms();
    error WrongWindow(uint64 windowStart, uint64 windowEnd);
    error WrongOutput();
    error WrongClass(uint8 expected, int32 got);
    error WrongFeed();
    error NotSignedByNode(address node);
    error NoVerifier(bytes32 model);

    /// @notice Returns only if the evidence holds for the receipt.
    /// @param receipt the receipt
    /// @param digest its digest under `domain`
    /// @param bundle its evidence
    /// @param domain EIP-712 domain of the settlement
    /// @param settlement the settlement that receipts are made out to
    /// @param registry knows models and verifiers
    function check(
        Receipts.Receipt calldata receipt,
        bytes32 digest,
        Bundle calldata bundle,
        bytes32 domain,
        address settlement,
        Registry registry
    ) internal view {
        if (receipt.service != INFERENCE) revert WrongService(receipt.service);
        bytes32 job = Jobs.id(bundle.job, domain);
        if (job != receipt.job) revert WrongJobId(receipt.job, job);
        // One proven window is one unit (services/inference.rs).
        if (receipt.units != 1 || !isLawful(receipt, bundle.job)) revert UnlawfulReceipt();
        if (keccak256(bundle.output) != receipt.output) revert WrongOutput();
        _checkTerms(receipt, bundle);
        if (!isSigned(receipt.node, digest, bundle.signature)) revert NotSignedByNode(receipt.node);
        (IProofVerifier verifier,) = registry.verifierOf(receipt.model);
        if (address(verifier) == address(0)) revert NoVerifier(receipt.model);
        uint256 statement = Statements.publicInput(
            receipt.model, Receipts.context(receipt, settlement), receipt.input, bundle.publicWords, bundle.output
        );
        verifier.verify(statement, bundle.proof);
    }

    /// @notice True if a receipt keeps the terms of its job that the chain can see.
    function isLawful(Receipts.Receipt calldata r, Jobs.Job calldata job) internal pure returns (bool) {
        return r.service == job.service && r.model == job.model && (job.input == 0 || r.input == job.input) && r.units != 0
            && r.units <= job.maxUnits && r.windowStart >= job.windowFrom && r.windowEnd <= job.windowUntil
            && r.windowStart < r.windowEnd;
    }

    /// @notice True if `signer` signed `digest`. Refuses high s and malformed signatures; the zero address never signs.
    function isSigned(address signer, bytes32 digest, bytes calldata signature) internal pure returns (bool) {
        (address who, ECDSA.RecoverError e,) = ECDSA.tryRecover(digest, signature);
        return e == ECDSA.RecoverError.NoError && who == signer;
    }

    /// @dev version 1, flags, class, window seconds, window phase, feed root: the window, the class and the public words that the job asks for.
    function _checkTerms(Receipts.Receipt calldata r, Bundle calldata bundle) private pure {
        bytes calldata terms = bundle.terms;
        if (terms.length != TERMS_BYTES || keccak256(terms) != bundle.job.terms || terms[0] != 0x01) revert WrongTerms();
        uint8 flags = uint8(terms[1]);
        uint64 window = uint64(bytes8(terms[3:11]));
        uint64 phase = uint64(bytes8(terms[11:19]));
        if (window != 0 && (r.windowEnd - r.windowStart != window || r.windowStart % window != phase)) {
            revert WrongWindow(r.windowStart, r.windowEnd);
        }
        if (flags & FLAG_CLASS != 0) {
            int32 got = bundle.output.length < 4 ? -1 : int32(uint32(bytes4(bundle.output[:4])));
            if (got != int32(uint32(uint8(terms[2])))) revert WrongClass(uint8(terms[2]), got);
        }
        if (flags & FLAG_FEED == 0) {
            if (bundle.publicWords.length != 0) revert WrongFeed();
        } else {
            bytes32 row = keccak256(abi.encodePacked(r.device, r.windowStart, bundle.publicWords));
            bytes32 leaf = keccak256(bytes.concat(row));
            if (!MerkleProof.verifyCalldata(bundle.feedProof, bytes32(terms[19:51]), leaf)) revert WrongFeed();
        }
    }
}
