// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

/// @title Where the stabilizer trades.
interface ITradeVenue {
    /// @notice Take `amountIn` of `tokenIn` from the caller, who approved the venue, and give it `tokenOut`.
    /// @return amountOut What was given.
    function swap(address tokenIn, address tokenOut, uint256 amountIn) external returns (uint256 amountOut);
}
