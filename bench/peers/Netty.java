// On Netty, one event loop, with the codecs and the timeout handler that it has.
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.ChannelPipeline;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.DelimiterBasedFrameDecoder;
import io.netty.handler.codec.LengthFieldBasedFrameDecoder;
import io.netty.handler.timeout.ReadTimeoutHandler;
import java.net.InetAddress;
import java.net.InetSocketAddress;

public class Netty {
  static class Answer extends ChannelInboundHandlerAdapter {
    private final boolean ends;

    Answer(boolean ends) {
      this.ends = ends;
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
      if (ends) context.writeAndFlush(message).addListener(ChannelFutureListener.CLOSE);
      else context.write(message, context.voidPromise());
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext context) {
      context.flush();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
      context.close();
    }
  }

  static void decode(ChannelPipeline pipeline, String protocol) {
    ByteBuf newline = Unpooled.wrappedBuffer(new byte[] {'\n'});
    if (protocol.equals("frames")) pipeline.addLast(new LengthFieldBasedFrameDecoder(1 << 21, 0, 4, 0, 0));
    else if (!protocol.equals("echo")) {
      pipeline.addLast(new ReadTimeoutHandler(30), new DelimiterBasedFrameDecoder(8192, false, newline));
    }
  }

  public static void main(String[] arguments) throws Exception {
    String protocol = arguments[0];
    NioEventLoopGroup loop = new NioEventLoopGroup(1);
    ServerBootstrap server = new ServerBootstrap().group(loop).channel(NioServerSocketChannel.class);
    server.option(ChannelOption.SO_BACKLOG, 4096).childOption(ChannelOption.TCP_NODELAY, true);
    server.childHandler(
        new ChannelInitializer<SocketChannel>() {
          @Override
          protected void initChannel(SocketChannel channel) {
            decode(channel.pipeline(), protocol);
            channel.pipeline().addLast(new Answer(protocol.equals("churn")));
          }
        });
    InetSocketAddress any = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
    InetSocketAddress bound = (InetSocketAddress) server.bind(any).sync().channel().localAddress();
    System.out.println(bound.getPort());
    while (System.in.read() >= 0) continue;
    System.exit(0);
  }
}
