// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Evidence} from "./Evidence.sol";
import {IResultConsumer} from "./interfaces/IResultConsumer.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {Receipts} from "./Receipts.sol";
import {Registry} from "./Registry.sol";

/// @title Proof now: checks a receipt's wrapped proof and hands the result to a consumer in one transaction, without any poster.
/// @notice All or nothing: the evidence holds, the receipt was not delivered to this agreement before, and the consumer takes it; or the whole
/// transaction reverts with the name of what failed, and the same receipt can be delivered later. Settlement knows nothing of deliveries, so a
/// consumer that reverts stops its own agreement and nothing else. Holds no money, has no administrator.
/// The sender is never looked at: who copies a delivery from the mempool pays its gas, and the payee stays who the agreement and the receipt say.
contract Delivery is ReentrancyGuardTransient {
    /// @notice Receipts are made out to this settlement.
    ISettlement public immutable SETTLEMENT;
    /// @notice Models, verifiers, devices.
    Registry public immutable REGISTRY;
    /// @dev Settlement's domain: fixed, as its address and its chain are.
    bytes32 private immutable DOMAIN;

    /// @dev One bit a receipt: 256 sequence numbers of a node a slot, for each agreement.
    mapping(bytes32 agreementAndNode => mapping(uint256 word => uint256)) private _delivered;

    error AlreadyDelivered(bytes32 digest);
    error WindowNotOver(uint64 windowEnd);
    error DeviceNotOfNode(bytes32 device);
    error WrongDeviceKey(bytes32 device);
    error NotSignedByDevice(bytes32 device);

    event Delivered(address indexed consumer, bytes32 indexed id, bytes32 indexed digest);

    constructor(ISettlement settlement, Registry registry) {
        (SETTLEMENT, REGISTRY, DOMAIN) = (settlement, registry, settlement.domainSeparator());
    }

    /// @notice Checks and hands over one receipt.
    /// @param consumer takes the result
    /// @param id its agreement
    /// @param receipt the receipt
    /// @param bundle what shows that it holds
    /// @param deviceProof empty: the device must stand in the registry as the node's own, whose signature then stands for the device's. Or x, y, r, s, 32
    /// bytes each: a P-256 key, keccak256(x || y) being the device's name, and its signature of the digest, low s (a chain without the precompile
    /// at 0x100 refuses it: MissingPrecompile)
    function deliverWithProof(
        IResultConsumer consumer,
        bytes32 id,
        Receipts.Receipt calldata receipt,
        Evidence.Bundle calldata bundle,
        bytes calldata deviceProof
    ) external nonReentrant {
        bytes32 digest = Receipts.digest(receipt, DOMAIN);
        bytes32 key = keccak256(abi.encode(consumer, id, receipt.node));
        uint256 word = receipt.sequence >> 8;
        uint256 bit = 1 << (receipt.sequence & 255);
        uint256 marks = _delivered[key][word];
        if (marks & bit != 0) revert AlreadyDelivered(digest);
        _delivered[key][word] = marks | bit;
        if (receipt.windowEnd > block.timestamp) revert WindowNotOver(receipt.windowEnd);
        if (deviceProof.length == 0) {
            if (!REGISTRY.isActiveDeviceOf(receipt.device, receipt.node)) revert DeviceNotOfNode(receipt.device);
        } else {
            checkDevice(receipt.device, digest, deviceProof);
        }
        Evidence.check(receipt, digest, bundle, DOMAIN, address(SETTLEMENT), REGISTRY);
        emit Delivered(address(consumer), id, digest);
        consumer.deliver(id, receipt, digest, bundle.output);
    }

    /// @notice True if the node's receipt of this number was delivered to the agreement.
    function isDelivered(IResultConsumer consumer, bytes32 id, address node, uint64 sequence) external view returns (bool) {
        return _delivered[keccak256(abi.encode(consumer, id, node))][sequence >> 8] & (1 << (sequence & 255)) != 0;
    }

    /// @notice Returns only if `deviceProof` (x, y, r, s) is the device's P-256 signature of the digest.
    function checkDevice(bytes32 device, bytes32 digest, bytes calldata deviceProof) public view {
        if (deviceProof.length != 128 || keccak256(deviceProof[:64]) != device) revert WrongDeviceKey(device);
        (bytes32 x, bytes32 y, bytes32 r, bytes32 s) = abi.decode(deviceProof, (bytes32, bytes32, bytes32, bytes32));
        if (!P256.verifyNative(digest, r, s, x, y)) revert NotSignedByDevice(device);
    }
}
