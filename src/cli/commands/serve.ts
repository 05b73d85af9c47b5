import type {Command as Program} from 'commander';
import type {Act} from '../io.ts';

type ServeOptions = {host?: string; port?: string; dataDir?: string; config?: string; logLevel?: string};

export function serveCommand(program: Program, act: Act): void {
	program
		.command('serve')
		.description('serve the page and the API until it is stopped')
		.option('--host <address>', 'the address to listen on (WRIT_HOST)')
		.option('--port <port>', 'the port to listen on; 0 takes a free one (WRIT_PORT)')
		.option('--data-dir <dir>', 'where everything is kept (WRIT_DATA_DIR)')
		.option('--config <file>', 'settings, instead of ./writ.yaml')
		.option('--log-level <level>', 'silent, error, warn, info or debug (LOG_LEVEL)')
		.addHelpText(
			'after',
			`
Examples:
  writ serve
  writ serve --port 9000 --data-dir /var/lib/writ
docs/configuration.md lists every setting.`,
		)
		.action(
			act(async ({local}, [{host, port, dataDir, config, logLevel}]: [ServeOptions]) => {
				const flags = {'server.host': host, 'server.port': port, 'data.dir': dataDir, 'observability.logLevel': logLevel};
				await local.serve({config, flags});
			}),
		);
}
