import {describe} from 'node:test';
import {attackerRuntime} from '../fixtures/attack.ts';
import {testProvider} from '../fixtures/conformance.ts';
import {testAsOrdinaryUser} from '../fixtures/ordinary-user.ts';
import {createProcessProvider} from './process.ts';

const options = {runtime: attackerRuntime(), zygotes: 'off'} as const;

describe('bubblewrap, started for each run', () => testProvider(() => createProcessProvider(options)));

describe('bubblewrap, started for each run, without control groups', () =>
	testProvider(() => createProcessProvider({...options, cgroups: 'off'})));

testAsOrdinaryUser(import.meta.filename);
