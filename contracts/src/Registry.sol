// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IProofVerifier} from "./interfaces/IProofVerifier.sol";

/// @title Who takes part: nodes, devices, models, verifiers. Holds no money and moves none.
/// @notice Who may do what:
///  - governor: grants and takes back roles, sets the verifier of a class once, hands over its office in two steps;
///  - maker (role): enrols devices that it made (the chain cannot check an Ed25519 key, so the maker vouches for it), revokes its own devices;
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

    /// @notice Two slots. program: commitment to the program that the model id names (what a verifier contract binds).
    struct Model {
        bytes32 program;
        address publisher;
        uint32 verifierClass;
        uint8 status;
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

    uint8 private constant ACTIVE = 1;
    uint8 private constant REVOKED = 2;

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
    /// @notice Verifier of a class, zero while there is none.
    mapping(uint32 class => IProofVerifier) public verifiers;

    mapping(bytes32 key => Device) private _devices;
    mapping(bytes32 id => Model) private _models;
    mapping(address node => Node) private _nodes;

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

    event GovernorProposed(address indexed next);
    event GovernorChanged(address indexed governor);
    event RolesSet(address indexed account, uint8 roles, uint24 makerId);
    event VerifierSet(uint32 indexed class, address verifier);
    event DeviceEnrolled(bytes32 indexed key, address indexed owner, uint64 cell, uint24 maker);
    event DeviceTransferred(bytes32 indexed key, address indexed owner);
    event DeviceRevoked(bytes32 indexed key);
    event ModelRegistered(bytes32 indexed id, bytes32 program, uint32 verifierClass, address indexed publisher);
    event ModelRevoked(bytes32 indexed id);
    event NodeRegistered(address indexed node, address indexed operator);
    event NodeTransferred(address indexed node, address indexed operator);
    event NodeRetired(address indexed node);

    constructor(address governor_) {
        if (governor_ == address(0)) revert ZeroValue();
        governor = governor_;
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

    /// @notice Sets the verifier contract of a class, once: a verifier that can be swapped could be swapped for one that agrees to anything.
    function setVerifier(uint32 class, IProofVerifier verifier) external onlyGovernor {
        if (address(verifier) == address(0)) revert ZeroValue();
        if (address(verifiers[class]) != address(0)) revert VerifierExists(class);
        verifiers[class] = verifier;
        emit VerifierSet(class, address(verifier));
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

    /// @notice Record of a device.
    function device(bytes32 key) external view returns (Device memory) {
        return _devices[key];
    }

    /// @notice True if the device is enrolled and not revoked.
    function isActiveDevice(bytes32 key) external view returns (bool) {
        return _devices[key].status == ACTIVE;
    }

    // ---------------------------------------------------------------- models

    /// @notice A publisher registers a model.
    function registerModel(bytes32 id, bytes32 program, uint32 verifierClass) external {
        if (roles[msg.sender] & PUBLISHER == 0) revert NotPublisher();
        if (id == 0) revert ZeroValue();
        if (_models[id].status != 0) revert ModelExists(id);
        _models[id] = Model(program, msg.sender, verifierClass, ACTIVE);
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

    /// @notice Verifier for a model's receipts, zero if the model is unknown or its class has none yet.
    function verifierOf(bytes32 id) external view returns (IProofVerifier) {
        Model storage m = _models[id];
        return m.status == 0 ? IProofVerifier(address(0)) : verifiers[m.verifierClass];
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
