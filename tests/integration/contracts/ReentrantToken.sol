// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A hostile token: once armed, its next transfer calls whatever it was told to.
contract ReentrantToken is ERC20 {
    address private _target;
    bytes private _call;

    constructor(string memory symbol_) ERC20(symbol_, symbol_) {
        _mint(msg.sender, 1e30);
    }

    function arm(address target, bytes calldata call_) external {
        _target = target;
        _call = call_;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function burn(uint256 amount) external {
        _burn(msg.sender, amount);
    }

    function verifiedReserve() external pure returns (uint256) {
        return type(uint256).max;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_target == address(0)) return;
        address target = _target;
        _target = address(0);
        (bool done, bytes memory answer) = target.call(_call);
        if (!done) {
            assembly {
                revert(add(answer, 0x20), mload(answer))
            }
        }
    }
}
