// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

/// @title What one fine troy ounce of gold costs in one currency, with 18 decimals.
interface IXAUOracle {
    /// @notice The price, for whatever moves value.
    /// @dev Reverts while it is frozen, stale, or was never set.
    function price() external view returns (uint256);

    /// @notice The last price whatever its age, 0 if there was none: for whoever watches.
    function lastPrice() external view returns (uint256);

    /// @notice The time-weighted average price. Reverts if there is no price.
    function twap() external view returns (uint256);

    /// @notice How far the last price is from the average: |lastPrice - twap| / twap, 1e18 is 100 %.
    function twapDeviation() external view returns (uint256);
}
