// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

/// @title What a token asks of a reserve oracle.
interface IReserveOracle {
    /// @notice The reserve that the reporters agree on, in base units of the token.
    /// @dev Reverts when the quorum is not met: without a consensus there is no number.
    function getVerifiedReserve(address token) external view returns (uint256);

    /// @notice Whether enough reports stand for `token` to speak of a consensus.
    function isQuorumMet(address token) external view returns (bool);
}
