// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IReserveOracle} from "./IReserveOracle.sol";

/// @title A fiat-backed ERC-20 token (USDW, EURW, GBPW) that is never minted beyond its verified reserve.
/// @dev Nothing is `immutable`: the deployed code of every token is the compiled artifact byte for byte, so that an
/// auditor pins one code hash for all of them. The total supply is OpenZeppelin's `_totalSupply`, in slot 2.
contract WToken is ERC20, AccessControl {
    /// @notice Who may mint.
    bytes32 public constant MINTER_ROLE = keccak256("MINTER_ROLE");

    /// @notice Where the reserve comes from. Fixed at deployment.
    IReserveOracle public oracle;

    uint8 private _decimals;

    /// @notice The supply after minting would exceed the verified reserve.
    error MintExceedsReserve(uint256 reserve, uint256 supply, uint256 amount);

    /// @param name_ The ERC-20 name.
    /// @param symbol_ The ERC-20 symbol.
    /// @param decimals_ The ERC-20 decimals: base units per whole token, as a power of ten.
    /// @param oracle_ Reports this token's reserve, in its base units.
    /// @param admin Holds DEFAULT_ADMIN_ROLE: grants and revokes MINTER_ROLE.
    constructor(string memory name_, string memory symbol_, uint8 decimals_, IReserveOracle oracle_, address admin)
        ERC20(name_, symbol_)
    {
        oracle = oracle_;
        _decimals = decimals_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    /// @notice Mint `amount` base units to `to`, up to the verified reserve exactly.
    /// @dev Refused: callers without MINTER_ROLE (AccessControlUnauthorizedAccount), no quorum (the oracle's
    /// QuorumNotMet), a supply beyond the reserve (MintExceedsReserve).
    function mint(address to, uint256 amount) external onlyRole(MINTER_ROLE) {
        uint256 reserve = verifiedReserve();
        uint256 supply = totalSupply();
        if (supply > reserve || amount > reserve - supply) revert MintExceedsReserve(reserve, supply, amount);
        _mint(to, amount);
    }

    /// @notice Burn `amount` base units of the caller's own.
    function burn(uint256 amount) external {
        _burn(msg.sender, amount);
    }

    /// @notice Whether a verified reserve exists and covers the whole supply; false while the quorum is not met.
    function isReserveSufficient() external view returns (bool) {
        return oracle.isQuorumMet(address(this)) && verifiedReserve() >= totalSupply();
    }

    /// @notice The verified reserve in base units of this token.
    /// @dev Reverts with the oracle's QuorumNotMet: without a consensus there is no number.
    function verifiedReserve() public view returns (uint256) {
        return oracle.getVerifiedReserve(address(this));
    }

    /// @inheritdoc ERC20
    function decimals() public view override returns (uint8) {
        return _decimals;
    }
}
