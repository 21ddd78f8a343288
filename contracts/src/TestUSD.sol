// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "solady/tokens/ERC20.sol";

/// @title Test dollars: worthless, minted at will by the owner. ERC-20 with EIP-2612 permit, 6 decimals as USDC has.
contract TestUSD is ERC20 {
    /// @notice Who may mint.
    address public immutable OWNER;

    /// @notice The sender is not the owner.
    error NotOwner();

    constructor(address owner) {
        OWNER = owner;
    }

    /// @inheritdoc ERC20
    function name() public pure override returns (string memory) {
        return "Proofmesh Test Dollar (no value)";
    }

    /// @inheritdoc ERC20
    function symbol() public pure override returns (string memory) {
        return "tUSD";
    }

    /// @inheritdoc ERC20
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @notice Faucet: makes `amount` base units for `to`.
    function mint(address to, uint256 amount) external {
        if (msg.sender != OWNER) revert NotOwner();
        _mint(to, amount);
    }

    /// @dev Allowances are what their owners gave, nothing built in.
    function _givePermit2InfiniteAllowance() internal pure override returns (bool) {
        return false;
    }
}
