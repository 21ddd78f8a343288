// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IProofVerifier} from "./interfaces/IProofVerifier.sol";

/// @title Who takes part: nodes, devices, models, verifiers. Holds no money and moves none.
/// @notice Who may do what:
///  - governor: grants and takes back roles, sets the verifier of a class once (at once while no model is of that class, else after
///    VERIFIER_DELAY, so that whoever depends on these models can leave first), hands over its office in two steps;
///  - maker (role): enrols devices that it made (the chain cannot check an Ed25519 key, so the maker vouches for it), one by one or by the root of
///    a batch, which costs no slot a device; revokes its own devices;
///  - owner of a device: transfers it, revokes it;
///  - publisher (role): registers models, revokes its own models;
///  - anybody: registers the node of its own account, with its operator; the operator transfers or retires it.
/// Revocation is for ever: a key or model that came back could make old receipts count again.
contract Registry {
    /// @notice One slot. status: 0 unknown, 1 active, 2 revoked.
    struct Device {
        address owner;
        uint64 cell;
        uint24 maker;
        uint8 status;
    }

    /// @notice Two slots. program: commitment to the program that the model id names (what a verifier contract binds); since: when it was registered.
    struct Model {
        bytes32 program;
        address publisher;
        uint32 verifierClass;
        uint48 since;
        uint8 status;
    }

    /// @notice A verifier class. models: how many were ever registered with it; since: when its verifier was set.
    struct Class {
        IProofVerifier verifier;
        uint48 since;
        uint48 models;
    }

    /// @notice A verifier that waits for its delay.
    struct Proposal {
        IProofVerifier verifier;
        uint48 readyAt;
    }

    /// @notice A maker's devices as one incremental Merkle tree of DEPTH levels: positions say left and right, empty places are 0. Two slots, and one
    /// for each level that a batch begins on.
    struct Roll {
        bytes32 root;
        uint32 count;
        mapping(uint256 level => bytes32) pending;
        mapping(uint256 word => uint256) revoked;
    }

    /// @notice Where a device sits in a maker's roll, with the siblings from its leaf up.
    struct Place {
        uint24 maker;
        uint32 index;
        bytes32[24] proof;
    }

    /// @notice One slot. status as in Device.
    struct Node {
        address operator;
        uint64 since;
        uint8 status;
    }

    /// @notice Role bit: may enrol devices.
    uint8 public constant MAKER = 1;
    /// @notice Role bit: may register models.
    uint8 public constant PUBLISHER = 2;

    /// @notice Levels of a maker's roll: 16,777,216 devices.
    uint256 public constant DEPTH = 24;

    uint8 private constant ACTIVE = 1;
    uint8 private constant REVOKED = 2;

    /// @notice Seconds from the proposal to the acceptance of a verifier whose class has models.
    uint48 public immutable VERIFIER_DELAY;

    /// @notice Present governor.
    address public governor;
    /// @notice Account that may accept the office.
    address public pendingGovernor;
    /// @notice Number of makers so far; maker ids count from 1.
    uint24 public makerCount;

    /// @notice Role bits of an account.
    mapping(address account => uint8) public roles;
    /// @notice Id of a maker, 0 if the account never was one.
    mapping(address account => uint24) public makerId;
    /// @notice Verifier classes.
    mapping(uint32 class => Class) public classes;
    /// @notice Verifiers that wait.
    mapping(uint32 class => Proposal) public proposals;
    /// @notice Verifier of a verification key, by the key's hash; zero if none was ever set.
    mapping(bytes32 keyHash => IProofVerifier) public verifierOfKey;

    mapping(bytes32 key => Device) private _devices;
    mapping(bytes32 id => Model) private _models;
    mapping(address node => Node) private _nodes;
    mapping(uint24 maker => Roll) private _rolls;

    error NotGovernor();
    error NotMaker();
    error NotPublisher();
    error NotAllowed();
    error ZeroValue();
    error DeviceExists(bytes32 key);
    error DeviceNotActive(bytes32 key);
    error ModelExists(bytes32 id);
    error ModelNotActive(bytes32 id);
    error NodeExists(address node);
    error NodeNotActive(address node);
    error VerifierExists(uint32 class);
    error ClassInUse(uint32 class);
    error NoProposal(uint32 class);
    error TooEarly(uint256 from);
    error Misaligned(uint32 count, uint8 height);
    error RollFull(uint32 count);
    error NotOnRoll(uint24 maker, uint32 index);

    event GovernorProposed(address indexed next);
    event GovernorChanged(address indexed governor);
    event RolesSet(address indexed account, uint8 roles, uint24 makerId);
    event VerifierProposed(uint32 indexed class, address verifier, uint48 readyAt);
    event VerifierSet(uint32 indexed class, address verifier, bytes32 indexed keyHash);
    event DevicesAppended(uint24 indexed maker, bytes32 subtree, uint8 height, uint32 first, bytes32 root);
    event PlaceRevoked(uint24 indexed maker, uint32 indexed index);
    event DeviceEnrolled(bytes32 indexed key, address indexed owner, uint64 cell, uint24 maker);
    event DeviceTransferred(bytes32 indexed key, address indexed owner);
    event DeviceRevoked(bytes32 indexed key);
    event ModelRegistered(bytes32 indexed id, bytes32 program, uint32 verifierClass, address indexed publisher);
    event ModelRevoked(bytes32 indexed id);
    event NodeRegistered(address indexed node, address indexed operator);
    event NodeTransferred(address indexed node, address indexed operator);
    event NodeRetired(address indexed node);

    /// @param governor_ first governor
    /// @param verifierDelay must be longer than any settlement's challenge window and response time, so that a poster can finish and leave
    constructor(address governor_, uint48 verifierDelay) {
        if (governor_ == address(0)) revert ZeroValue();
        governor = governor_;
        VERIFIER_DELAY = verifierDelay;
        emit GovernorChanged(governor_);
    }

    modifier onlyGovernor() {
        if (msg.sender != governor) revert NotGovernor();
        _;
    }

    // ---------------------------------------------------------------- governor

    /// @notice Names the next governor, who must accept.
    function proposeGovernor(address next) external onlyGovernor {
        pendingGovernor = next;
        emit GovernorProposed(next);
    }

    /// @notice The proposed governor takes the office.
    function acceptGovernor() external {
        if (msg.sender != pendingGovernor) revert NotAllowed();
        governor = msg.sender;
        delete pendingGovernor;
        emit GovernorChanged(msg.sender);
    }

    /// @notice Sets the role bits of an account. Taking a role back leaves what was enrolled with it.
    function setRoles(address account, uint8 bits) external onlyGovernor {
        uint24 id = makerId[account];
        if (bits & MAKER != 0 && id == 0) {
            id = ++makerCount;
            makerId[account] = id;
        }
        roles[account] = bits;
        emit RolesSet(account, bits, id);
    }

    /// @notice Sets the verifier contract of a class that no model has yet, once: a verifier that can be swapped could be swapped for one that agrees
    /// to anything.
    function setVerifier(uint32 class, IProofVerifier verifier) external onlyGovernor {
        if (classes[class].models != 0) revert ClassInUse(class);
        _setVerifier(class, verifier);
    }

    /// @notice Announces the verifier of a class that has models and no verifier. A second announcement replaces the first and starts the delay anew;
    /// zero withdraws it.
    function proposeVerifier(uint32 class, IProofVerifier verifier) external onlyGovernor {
        if (address(classes[class].verifier) != address(0)) revert VerifierExists(class);
        uint48 readyAt = uint48(block.timestamp) + VERIFIER_DELAY;
        proposals[class] = Proposal(verifier, readyAt);
        emit VerifierProposed(class, address(verifier), readyAt);
    }

    /// @notice Sets an announced verifier when its delay is over. Anybody.
    function acceptVerifier(uint32 class) external {
        Proposal memory p = proposals[class];
        if (address(p.verifier) == address(0)) revert NoProposal(class);
        if (block.timestamp < p.readyAt) revert TooEarly(p.readyAt);
        delete proposals[class];
        _setVerifier(class, p.verifier);
    }

    // ---------------------------------------------------------------- devices

    /// @notice A maker enrols a device for its owner, in a cell (a place's id; the maker or installer vouches for it).
    function enrolDevice(bytes32 key, address owner, uint64 cell) external {
        if (roles[msg.sender] & MAKER == 0) revert NotMaker();
        if (key == 0 || owner == address(0)) revert ZeroValue();
        if (_devices[key].status != 0) revert DeviceExists(key);
        uint24 maker = makerId[msg.sender];
        _devices[key] = Device(owner, cell, maker, ACTIVE);
        emit DeviceEnrolled(key, owner, cell, maker);
    }

    /// @notice The owner hands a device over.
    function transferDevice(bytes32 key, address owner) external {
        Device storage d = _activeDevice(key);
        if (msg.sender != d.owner) revert NotAllowed();
        if (owner == address(0)) revert ZeroValue();
        d.owner = owner;
        emit DeviceTransferred(key, owner);
    }

    /// @notice The owner or the maker revokes a device, for ever.
    function revokeDevice(bytes32 key) external {
        Device storage d = _activeDevice(key);
        if (msg.sender != d.owner && makerId[msg.sender] != d.maker) revert NotAllowed();
        d.status = REVOKED;
        emit DeviceRevoked(key);
    }

    /// @notice A maker appends 2^height devices to its roll by the root of their subtree (height 0: one device, its leaf). Nothing else is written: who
    /// needs a device on chain unpacks it. The number of devices so far must be a multiple of 2^height. What is in the subtree is the maker's
    /// word, as with enrolDevice; empty places may be left in it as 0.
    function appendDevices(bytes32 subtree, uint8 height) external {
        if (roles[msg.sender] & MAKER == 0) revert NotMaker();
        if (subtree == 0) revert ZeroValue();
        uint24 maker = makerId[msg.sender];
        Roll storage roll = _rolls[maker];
        uint32 first = roll.count;
        if (height > DEPTH || first & ((uint32(1) << height) - 1) != 0) revert Misaligned(first, height);
        uint256 count = uint256(first) + (1 << height);
        if (count > 1 << DEPTH) revert RollFull(first);
        roll.count = uint32(count);
        bytes32 node_ = subtree;
        bytes32 empty;
        bool kept;
        for (uint256 level; level < DEPTH; ++level) {
            if (level >= height) {
                if (first >> level & 1 == 1) {
                    node_ = _pair(roll.pending[level], node_);
                } else {
                    // The first left place on the way up is what later batches will need.
                    if (!kept) (roll.pending[level], kept) = (node_, true);
                    node_ = _pair(node_, empty);
                }
            }
            empty = _pair(empty, empty);
        }
        roll.root = node_;
        emit DevicesAppended(maker, subtree, height, first, node_);
    }

    /// @notice Root and number of a maker's roll.
    function rollOf(uint24 maker) external view returns (bytes32 root, uint32 count) {
        return (_rolls[maker].root, _rolls[maker].count);
    }

    /// @notice Leaf of a device in a roll, hashed twice as all leaves are.
    function deviceLeaf(bytes32 key, address owner, uint64 cell) public pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(key, owner, cell))));
    }

    /// @notice True if the device is on the roll at that place and the place is not revoked.
    function isOnRoll(bytes32 key, address owner, uint64 cell, Place calldata place) public view returns (bool) {
        Roll storage roll = _rolls[place.maker];
        if (place.index >= roll.count) return false;
        bytes32 node_ = deviceLeaf(key, owner, cell);
        for (uint256 level; level < DEPTH; ++level) {
            bytes32 sibling = place.proof[level];
            node_ = place.index >> level & 1 == 1 ? _pair(sibling, node_) : _pair(node_, sibling);
        }
        return node_ == roll.root && roll.revoked[place.index >> 8] & (1 << (place.index & 255)) == 0;
    }

    /// @notice Gives a device of a roll a record of its own, as enrolDevice would. Anybody, once.
    function unpackDevice(bytes32 key, address owner, uint64 cell, Place calldata place) external {
        if (key == 0 || owner == address(0)) revert ZeroValue();
        if (_devices[key].status != 0) revert DeviceExists(key);
        if (!isOnRoll(key, owner, cell, place)) revert NotOnRoll(place.maker, place.index);
        _devices[key] = Device(owner, cell, place.maker, ACTIVE);
        emit DeviceEnrolled(key, owner, cell, place.maker);
    }

    /// @notice The owner or the maker revokes a device that has no record of its own, for ever.
    function revokePlace(bytes32 key, address owner, uint64 cell, Place calldata place) external {
        if (msg.sender != owner && makerId[msg.sender] != place.maker) revert NotAllowed();
        if (_devices[key].status != 0) revert DeviceExists(key);
        if (!isOnRoll(key, owner, cell, place)) revert NotOnRoll(place.maker, place.index);
        _rolls[place.maker].revoked[place.index >> 8] |= 1 << (place.index & 255);
        emit PlaceRevoked(place.maker, place.index);
    }

    /// @notice Record of a device.
    function device(bytes32 key) external view returns (Device memory) {
        return _devices[key];
    }

    /// @notice True if the device is enrolled and not revoked.
    function isActiveDevice(bytes32 key) external view returns (bool) {
        return _devices[key].status == ACTIVE;
    }

    /// @notice True if the device is enrolled, not revoked, and this owner's.
    function isActiveDeviceOf(bytes32 key, address owner) external view returns (bool) {
        Device storage d = _devices[key];
        return d.status == ACTIVE && d.owner == owner;
    }

    // ---------------------------------------------------------------- models

    /// @notice A publisher registers a model.
    function registerModel(bytes32 id, bytes32 program, uint32 verifierClass) external {
        if (roles[msg.sender] & PUBLISHER == 0) revert NotPublisher();
        if (id == 0) revert ZeroValue();
        if (_models[id].status != 0) revert ModelExists(id);
        _models[id] = Model(program, msg.sender, verifierClass, uint48(block.timestamp), ACTIVE);
        ++classes[verifierClass].models;
        emit ModelRegistered(id, program, verifierClass, msg.sender);
    }

    /// @notice Its publisher revokes a model, for ever.
    function revokeModel(bytes32 id) external {
        Model storage m = _models[id];
        if (m.status != ACTIVE) revert ModelNotActive(id);
        if (msg.sender != m.publisher) revert NotAllowed();
        m.status = REVOKED;
        emit ModelRevoked(id);
    }

    /// @notice Record of a model.
    function model(bytes32 id) external view returns (Model memory) {
        return _models[id];
    }

    /// @notice True if the model is registered and not revoked.
    function isActiveModel(bytes32 id) external view returns (bool) {
        return _models[id].status == ACTIVE;
    }

    /// @notice Whether a device and a model are known and not revoked, in one call.
    function areActive(bytes32 key, bytes32 id) external view returns (bool device_, bool model_) {
        return (_devices[key].status == ACTIVE, _models[id].status == ACTIVE);
    }

    /// @notice Verifier for a model's receipts, zero if the model is unknown or its class has none yet, and since when it is the model's.
    function verifierOf(bytes32 id) external view returns (IProofVerifier verifier, uint64 since) {
        Model storage m = _models[id];
        if (m.status == 0) return (IProofVerifier(address(0)), 0);
        Class storage c = classes[m.verifierClass];
        return (c.verifier, c.since > m.since ? c.since : m.since);
    }

    // ---------------------------------------------------------------- nodes

    /// @notice The sender's account becomes a node, run by `operator`.
    function registerNode(address operator) external {
        if (operator == address(0)) revert ZeroValue();
        if (_nodes[msg.sender].status != 0) revert NodeExists(msg.sender);
        _nodes[msg.sender] = Node(operator, uint64(block.timestamp), ACTIVE);
        emit NodeRegistered(msg.sender, operator);
    }

    /// @notice The operator hands a node over.
    function transferNode(address node_, address operator) external {
        Node storage n = _ownNode(node_);
        if (operator == address(0)) revert ZeroValue();
        n.operator = operator;
        emit NodeTransferred(node_, operator);
    }

    /// @notice The operator retires a node, for ever.
    function retireNode(address node_) external {
        _ownNode(node_).status = REVOKED;
        emit NodeRetired(node_);
    }

    /// @notice Record of a node.
    function node(address node_) external view returns (Node memory) {
        return _nodes[node_];
    }

    // ---------------------------------------------------------------- below

    function _setVerifier(uint32 class, IProofVerifier verifier) private {
        if (address(verifier) == address(0)) revert ZeroValue();
        Class storage c = classes[class];
        if (address(c.verifier) != address(0)) revert VerifierExists(class);
        (c.verifier, c.since) = (verifier, uint48(block.timestamp));
        bytes32 keyHash = verifier.keyHash();
        if (address(verifierOfKey[keyHash]) == address(0)) verifierOfKey[keyHash] = verifier;
        emit VerifierSet(class, address(verifier), keyHash);
    }

    function _pair(bytes32 left, bytes32 right) private pure returns (bytes32 out) {
        assembly ("memory-safe") {
            mstore(0x00, left)
            mstore(0x20, right)
            out := keccak256(0x00, 0x40)
        }
    }

    function _activeDevice(bytes32 key) private view returns (Device storage d) {
        d = _devices[key];
        if (d.status != ACTIVE) revert DeviceNotActive(key);
    }

    function _ownNode(address node_) private view returns (Node storage n) {
        n = _nodes[node_];
        if (n.status != ACTIVE) revert NodeNotActive(node_);
        if (msg.sender != n.operator) revert NotAllowed();
    }
}
