// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

/// @title What a liquidation asks of the ledger of vaults.
interface ILedger {
    /// @notice Base units of `asset` that the vault holds as collateral.
    function collateralOf(address vault, address asset) external view returns (uint256);

    /// @notice Base units of `currency` that the vault owes.
    function debtOf(address vault, address currency) external view returns (uint256);

    /// @notice Value of the collateral over value of the debt, by the last prices: 1e18 is 100 %; 2^256 - 1 without
    /// debt.
    function getVaultHealth(address vault) external view returns (uint256);

    /// @notice The same by usable prices. Reverts while one that it needs is frozen or stale.
    function currentHealth(address vault) external view returns (uint256);

    /// @notice Base units of `asset` worth `amount` base units of `currency`, by a usable price, rounded down.
    function collateralFor(address currency, uint256 amount, address asset) external view returns (uint256);

    /// @notice Take `repaid` of the vault's debt from `payer` and give `seized` of its collateral to it.
    function seize(address vault, address currency, uint256 repaid, address asset, uint256 seized, address payer)
        external;
}
