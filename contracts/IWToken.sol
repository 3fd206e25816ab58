// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";

/// @title What the other contracts ask of a fiat-backed token.
interface IWToken is IERC20Metadata {
    /// @notice Mint up to the verified reserve.
    function mint(address to, uint256 amount) external;

    /// @notice Burn the caller's own.
    function burn(uint256 amount) external;

    /// @notice The verified reserve in base units; reverts while the quorum is not met.
    function verifiedReserve() external view returns (uint256);
}
