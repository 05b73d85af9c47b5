/** Wraps commands with `@anthropic-ai/sandbox-runtime` for the process that started this one, which runs them. Ends with it. */
import {SandboxManager} from '@anthropic-ai/sandbox-runtime';

process.on('message', async (question) => {
	try {
		process.send({text: await answer(question)});
	} catch (error) {
		process.send({error: String(error.stack)});
	}
});
process.on('disconnect', () => SandboxManager.reset().finally(() => process.exit()));

async function answer({configure, wrap}) {
	if (configure) await SandboxManager.initialize(configure);
	else if (wrap) return SandboxManager.wrapWithSandbox(wrap);
	else SandboxManager.cleanupAfterCommand();
	return '';
}
