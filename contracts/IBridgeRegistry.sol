// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

/// @title What the bridge asks of the registry of destinations.
interface IBridgeRegistry {
    /// @notice Whether transfers to this chain may be initiated now.
    function isRouteOpen(uint256 chainId) external view returns (bool);
}
